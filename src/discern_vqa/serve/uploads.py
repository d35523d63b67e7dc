"""The files of an upload, read into memory: nothing of it is written to a disk, and no name is looked at."""

from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import Request

from discern_vqa.serve.problems import Problem
from discern_vqa.serve.settings import Bounds


class _InMemory(MultiPartParser):
    spool_max_size = 1 << 40  # never on a disk; how much may arrive is limited elsewhere


async def files_of(request: Request, bounds: Bounds) -> list[bytes]:
    """The parts called `file` of a multipart body, or the body itself. Raises Problem: there is none."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/"):
        content = await request.body()
        if not content:
            raise Problem(422, "the body is empty", "send the image file as the body, or as the part `file`")
        return [content]
    try:
        form = await _InMemory(request.headers, request.stream(), max_files=bounds.files, max_fields=10).parse()
    except MultiPartException as error:
        raise Problem(
            422, f"the multipart body cannot be read: {error.message[:100]}", "send parts called `file`"
        ) from error
    try:
        parts = [part for part in form.getlist("file") if isinstance(part, UploadFile)]
        contents = [content for part in parts if (content := await part.read())]
    finally:
        await form.close()
    if not contents:
        raise Problem(422, "the upload has no file", "send one or more parts called `file`, with a file name")
    return contents
