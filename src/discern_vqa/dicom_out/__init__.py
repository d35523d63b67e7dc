"""Answers as DICOM objects that an archive files beside the image they are about. No torch, no HTTP, no command line.

    objects_of(answers, source, run, kinds) -> [Dataset, ...]

`source` is the image that was asked about (`read_source`), `answers` are the questions about it with their verdicts
(`Reported`), `run` says which model answered (`RunInfo`), `kinds` what is wanted:

    sr   a structured report (TID 1500): codes and numbers, for programs
    sc   a secondary capture for each question: the image | the answer and how far to trust it | a heat map
    pdf  the same pages as one encapsulated PDF; many archives show one of the two and not the other
    seg  the heat maps as a fractional segmentation, laid over the image itself
    gsps a presentation state that draws a rectangle around each heat map's strongest region, for viewers without seg

Patient and study are copied from the source attribute by attribute (`patient`): an archive could not file the objects
otherwise. Nothing else of the source is copied. docs/dicom.md describes every object.
"""

from discern_vqa.dicom_out.objects import KINDS as KINDS
from discern_vqa.dicom_out.objects import file_of as file_of
from discern_vqa.dicom_out.objects import objects_of as objects_of
from discern_vqa.dicom_out.reported import HeatMap as HeatMap
from discern_vqa.dicom_out.reported import Reported as Reported
from discern_vqa.dicom_out.reported import RunInfo as RunInfo
from discern_vqa.dicom_out.source import Source as Source
from discern_vqa.dicom_out.source import read_source as read_source
