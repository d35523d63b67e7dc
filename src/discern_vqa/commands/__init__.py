"""The verbs of the command line, by what they are about. A verb parses, calls one function and prints.

Whatever is heavy is imported inside the verb, so that `--help` answers at once and without torch.
"""
