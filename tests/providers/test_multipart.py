"""Forms, read back by the standard library's mail parser."""

from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import HTTP

import pytest
from hypothesis import given
from hypothesis import strategies as st

from providers.multipart import FormFile, encode_form


def parts_of(content_type: str, body: bytes) -> list[EmailMessage]:
    message = BytesParser(policy=HTTP).parsebytes(
        b"Content-Type: %b\r\n\r\n%b" % (content_type.encode(), body)
    )
    assert not message.defects
    return list(message.iter_parts())


def raw_parts(content_type: str, body: bytes) -> list[tuple[bytes, bytes]]:
    """Head and body of each part; the mail parser may change line ends."""
    boundary = content_type.partition("boundary=")[2].encode()
    first, *parts, last = body.split(b"--" + boundary)
    assert (first, last) == (b"", b"--\r\n")
    return [tuple(part.removeprefix(b"\r\n").removesuffix(b"\r\n").split(b"\r\n\r\n", 1)) for part in parts]


def test_a_form_has_fields_and_files():
    """Each with its name, files with their type."""
    files = [
        FormFile("image", "image-1.png", "image/png", b"\x89PNG\r\n"),
        FormFile("mask", "m.png", "image/png", b""),
    ]
    parts = parts_of(*encode_form({"prompt": "A föx", "n": 2}, files))
    names = [part.get_param("name", header="content-disposition") for part in parts]
    assert names == ["prompt", "n", "image", "mask"]
    assert [part.get_filename() for part in parts] == [None, None, "image-1.png", "m.png"]
    assert [part.get_payload(decode=True) for part in parts[:2]] == ["A föx".encode(), b"2"]
    assert parts[2].get_content_type() == "image/png"


@pytest.mark.parametrize(
    ("value", "fields"),
    [
        (None, []),
        (True, [("a", "true")]),
        (1.5, [("a", "1.5")]),
        (
            {"model": "m", "reasoning": {"effort": "low"}},
            [("a[model]", "m"), ("a[reasoning][effort]", "low")],
        ),
        (["x", 2, None], [("a[]", "x"), ("a[]", "2")]),
        ({}, []),
        ("", [("a", "")]),
    ],
)
def test_json_becomes_fields(value, fields):
    """Nested values in brackets, null not at all."""
    parts = raw_parts(*encode_form({"a": value}, []))
    expected = [
        (f'Content-Disposition: form-data; name="{name}"'.encode(), text.encode()) for name, text in fields
    ]
    assert parts == expected


def test_nothing_breaks_out_of_its_part():
    """Neither names, nor a type that is none."""
    file = FormFile('a"\r\nX: 1', 'b"\r\n\r\n.png', "image/png\r\nX: 1", b"x")
    ((head, data),) = raw_parts(*encode_form({}, [file]))
    assert head == (
        b'Content-Disposition: form-data; name="a%22%0D%0AX: 1"; filename="b%22%0D%0A%0D%0A.png"\r\n'
        b"Content-Type: application/octet-stream"
    )
    assert data == b"x"


@given(
    st.dictionaries(st.text(), st.text()), st.lists(st.tuples(st.text(), st.text(), st.text(), st.binary()))
)
def test_any_bytes_arrive_as_they_are(fields, files):
    """Values and files, whatever is in them, in their order."""
    content_type, body = encode_form(fields, [FormFile(*file) for file in files])
    parts = raw_parts(content_type, body)
    assert [data for _, data in parts] == [
        *(value.encode() for value in fields.values()),
        *(data for *_, data in files),
    ]
    assert all(
        head.count(b"\r\n") == (1 if b"filename" in head and b"Content-Type" in head else 0)
        for head, _ in parts
    )
