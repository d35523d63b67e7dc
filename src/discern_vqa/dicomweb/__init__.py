"""Images from an archive (PACS) over DICOMweb, and objects back into it. No torch here.

Search is QIDO-RS, fetching WADO-RS, storing STOW-RS (PS3.18). One address is talked to and no other, certificates are
checked, answers are read up to the limit that files have, credentials come from the environment or from netrc, and what
is fetched lies in memory alone. docs/dicom.md says how it is set up.
"""
