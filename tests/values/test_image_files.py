"""Images as bytes and as files."""

import os
import stat
from pathlib import Path

import pytest
import trio
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from runtime.errors import InvalidOptionError
from runtime.values.content import ImageContent
from runtime.values.image_files import MAX_IMAGE_BYTES, sniffed_text, sniffed_type

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256))
STARTS = {
    "image/png": PNG[:8],
    "image/jpeg": b"\xff\xd8\xff\xe0",
    "image/gif": b"GIF89a",
    "image/webp": b"RIFF\n\x00\x00\x00WEBPVP8 ",
    "image/heic": b"\x00\x00\x00\x18ftypheic\x00\x00\x00\x00mif1heic",
    "image/heif": b"\x00\x00\x00\x18ftypmif1\x00\x00\x00\x00mif1miaf",
}
IMAGES = st.builds(bytes.__add__, st.sampled_from(list(STARTS.values())), st.binary(max_size=2000))
IN_A_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


# Types


@pytest.mark.parametrize(("mime_type", "start"), STARTS.items())
def test_the_type_is_told_by_the_bytes(mime_type, start):
    """Whatever follows."""
    assert ImageContent.from_bytes(start + b"\x00" * 40).mime_type == mime_type
    assert ImageContent.from_bytes(bytearray(start)) == ImageContent.from_bytes(memoryview(start))
    assert sniffed_text(ImageContent.from_bytes(start + b"\x01" * 5000).data) == mime_type


def test_both_kinds_of_gif_count():
    """And nothing that only begins like one."""
    assert sniffed_type(b"GIF87a..") == "image/gif"
    assert sniffed_type(b"GIF88a..") is None


@pytest.mark.parametrize(
    ("brands", "mime_type"),
    [
        (b"mif1\x00\x00\x00\x00mif1heic", "image/heic"),
        (b"msf1\x00\x00\x00\x00hevcmsf1", "image/heic"),
        (b"avif\x00\x00\x00\x00mif1miaf", None),
        (b"mif1\x00\x00\x00\x00avifmiaf", None),
        (b"isom\x00\x00\x00\x00isommp42", None),
        (b"isomheicisommp42", None),
    ],
)
def test_brands_tell_what_a_container_holds(brands, mime_type):
    """Those of the box, in their places: the version between them is none."""
    assert sniffed_type((8 + len(brands)).to_bytes(4) + b"ftyp" + brands + b"heic" * 8) == mime_type


@pytest.mark.parametrize(
    "data", [b"BM\x8a\x00\x00\x00", b"hello", b"<svg/>", b"RIFF....AVI ", b"\x89PNG", b"%PDF-1.7"]
)
def test_what_is_no_image_is_refused(data):
    """With how it begins, and what to do."""
    with pytest.raises(InvalidOptionError) as caught:
        ImageContent.from_bytes(data)
    assert str(caught.value) == (
        f"the data is no PNG, JPEG, GIF, WebP, HEIC or HEIF image: it begins with {data!r}; "
        "convert it, or pass its mime_type"
    )


def test_nothing_is_no_image():
    """Neither no bytes nor a text."""
    with pytest.raises(InvalidOptionError, match="it is empty"):
        ImageContent.from_bytes(b"")
    with pytest.raises(InvalidOptionError, match="must be bytes, not str"):
        ImageContent.from_bytes("iVBORw0KGgo=")


def test_a_type_that_is_given_holds():
    """For servers that take more than the known types."""
    assert ImageContent.from_bytes(b"BM....", "image/bmp") == ImageContent("Qk0uLi4u", "image/bmp")
    assert ImageContent.from_bytes(PNG, "image/apng").mime_type == "image/apng"


@given(st.binary(max_size=300))
def test_any_bytes_are_an_image_or_refused(data):
    """Nothing else comes of them."""
    try:
        image = ImageContent.from_bytes(data)
    except InvalidOptionError:
        assert sniffed_type(data) is None
    else:
        assert image.to_bytes() == data


# Sizes


def test_what_is_too_large_is_refused(tmp_path):
    """At one byte more than allowed, by its name; a file is not read further than that."""
    path = tmp_path / "large.png"
    path.write_bytes(PNG)
    assert ImageContent.from_file(path, max_bytes=len(PNG)).to_bytes() == PNG
    with pytest.raises(
        InvalidOptionError, match=r"the file '.*large\.png' has more than max_bytes=263 bytes"
    ):
        ImageContent.from_file(path, max_bytes=len(PNG) - 1)
    with pytest.raises(InvalidOptionError, match="the data has more than max_bytes=263 bytes"):
        ImageContent.from_bytes(PNG, max_bytes=len(PNG) - 1)


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there is no endless file here")
def test_an_endless_file_ends():
    """At the default limit."""
    with pytest.raises(InvalidOptionError, match=f"more than max_bytes={MAX_IMAGE_BYTES}"):
        ImageContent.from_file("/dev/zero", "image/png")


# Files


@IN_A_FOLDER
@given(IMAGES, st.booleans())
def test_an_image_survives_a_file(tmp_path, data, as_text):
    """File, value, JSON, file: the same bytes, the same type."""
    source, copy = tmp_path / "source", tmp_path / "copy"
    source.write_bytes(data)
    image = ImageContent.from_file(str(source) if as_text else source)
    read = ImageContent.model_validate_json(image.model_dump_json())
    read.save(str(copy) if as_text else copy, overwrite=True)
    assert copy.read_bytes() == data
    assert ImageContent.from_file(copy) == image


def test_a_file_that_is_no_image_is_named(tmp_path):
    """What it is called is not asked."""
    path = tmp_path / "photo.png"
    path.write_text("no photo")
    with pytest.raises(
        InvalidOptionError, match=r"the file '.*photo\.png' is no PNG.*begins with b'no photo'"
    ):
        ImageContent.from_file(path)
    path.write_bytes(STARTS["image/jpeg"])
    assert ImageContent.from_file(path).mime_type == "image/jpeg"


def test_a_file_that_cannot_be_read_is_the_systems_to_tell(tmp_path):
    """As everywhere in Python."""
    with pytest.raises(FileNotFoundError):
        ImageContent.from_file(tmp_path / "none.png")
    with pytest.raises(IsADirectoryError):
        ImageContent.from_file(tmp_path)


def test_a_file_that_is_there_is_kept(tmp_path):
    """Unless it is to be replaced."""
    path = tmp_path / "image.png"
    path.write_text("mine")
    image = ImageContent.from_bytes(PNG)
    with pytest.raises(FileExistsError):
        image.save(path)
    assert path.read_text() == "mine"
    with path.open() as reader:
        image.save(path, overwrite=True)
        assert reader.read() == "mine"  # who reads it already sees no half of the new one
    assert path.read_bytes() == PNG
    assert os.listdir(tmp_path) == ["image.png"]


def test_a_saved_file_has_the_usual_permissions(tmp_path):
    """Those that any new file gets here."""
    (tmp_path / "plain").write_text("")
    ImageContent.from_bytes(PNG).save(tmp_path / "image.png")
    assert mode(tmp_path / "image.png") == mode(tmp_path / "plain")


def mode(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_link_stays_one(tmp_path):
    """What it points to is replaced."""
    target, link = tmp_path / "target.png", tmp_path / "link.png"
    target.write_text("old")
    link.symlink_to(target)
    ImageContent.from_bytes(PNG).save(link, overwrite=True)
    assert link.is_symlink()
    assert target.read_bytes() == PNG


@pytest.mark.parametrize("overwrite", [False, True])
def test_no_half_file_is_left(tmp_path, monkeypatch, overwrite):
    """When the disk is full in the middle, what was there before is there still, and nothing else."""
    path = tmp_path / "image.png"
    if overwrite:
        path.write_text("old")
    before = os.listdir(tmp_path)

    def full(file, data):
        file.write(data[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "open", half_open(Path.open, full))
    with pytest.raises(OSError, match="No space left"):
        ImageContent.from_bytes(PNG).save(path, overwrite=overwrite)
    monkeypatch.undo()
    assert os.listdir(tmp_path) == before
    assert not overwrite or path.read_text() == "old"


def half_open(really, write):
    """``Path.open`` whose files take only a part of what is written."""

    class Half:
        def __init__(self, path, mode):
            self.file = really(path, mode)

        def __enter__(self):
            return self

        def write(self, data):
            write(self.file, data)

        def __exit__(self, *exc):
            self.file.close()

    return lambda path, mode: Half(path, mode)


@pytest.mark.parametrize("there", [False, True])
def test_a_file_system_without_links_will_do(tmp_path, monkeypatch, there):
    """A file that is there is kept on it, too."""

    def no_links(self, target):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "hardlink_to", no_links)
    path = tmp_path / "image.png"
    if there:
        path.write_text("mine")
        with pytest.raises(FileExistsError):
            ImageContent.from_bytes(PNG).save(path)
        assert path.read_text() == "mine"
    else:
        ImageContent.from_bytes(PNG).save(path)
        assert path.read_bytes() == PNG
    assert os.listdir(tmp_path) == ["image.png"]


async def test_files_may_be_left_to_a_thread(tmp_path):
    """In an async function, so that nothing waits for the disk."""
    path = tmp_path / "image.png"
    image = ImageContent.from_bytes(PNG)
    await trio.to_thread.run_sync(image.save, path)
    assert await trio.to_thread.run_sync(ImageContent.from_file, path) == image


# Data


@pytest.mark.parametrize(
    "data", ["not base64!", "a", "aG*k=", "iVBORw0KGgo", "data:image/png;base64,iVBORw0KGgo="]
)
def test_data_that_is_no_base64_is_refused(tmp_path, data):
    """When the bytes are asked for, and before any file is made."""
    image = ImageContent(data, "image/png")
    for use in (image.to_bytes, lambda: image.save(tmp_path / "x.png")):
        with pytest.raises(InvalidOptionError, match="the data of this image is no base64: .*begins with"):
            use()
    assert os.listdir(tmp_path) == []


def test_data_may_be_in_lines():
    """Some encoders break it."""
    assert ImageContent("iVBO\nRw0K\r\nGgo= ", "image/png").to_bytes() == PNG[:8]


@pytest.mark.parametrize(
    ("mime_type", "suffix"),
    [
        ("image/png", ".png"),
        ("image/jpeg", ".jpg"),
        ("IMAGE/WebP; q=1", ".webp"),
        ("image/svg+xml", ".svg"),
        ("image/../../etc/passwd", ".bin"),
        ("image/x y", ".bin"),
        ("text/html", ".bin"),
        ("", ".bin"),
    ],
)
def test_a_type_has_a_suffix(mime_type, suffix):
    """Also one that a server has made up."""
    assert ImageContent("", mime_type).suffix == suffix


@given(st.text(max_size=40))
@example("image/a/b")
@example("image/..")
def test_a_suffix_is_safe_in_a_name(mime_type):
    """Whatever the type says."""
    suffix = ImageContent("", mime_type).suffix
    assert suffix[0] == "."
    assert suffix[1:].isalnum()
    assert suffix.isascii()
