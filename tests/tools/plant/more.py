"""What earlier sets did not cover: references and intervals over files, deflated streams, DICOMDIR, cut files."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from datetime import date, timedelta

from pydicom.sequence import Sequence

from tests.tools.plant.documents import make_pdf
from tests.tools.plant.headers import New
from tests.tools.plant.items import item
from tests.tools.plant.person import Person
from tests.tools.plant.planted import RLE, SOP_CLASSES, Planted

Start = Callable[[Planted], Planted]


def plant_linked(who: Person, start: Start) -> None:
    """Two images, a presentation state of the first, and a later Study that refers back to it."""
    images = []
    for number in range(2):
        f = start(Planted(f"linked/ct{number}.dcm", "CT", who, index=number))
        f.put_pixels(bits=16)
        f.put_uid("FrameOfReferenceUID", who.root + ".7")
        images.append(f.ds)
    f = start(Planted("linked/state.dcm", "PR", who, index=2))
    f.ds.PresentationCreationDate, f.ds.PresentationCreationTime = who.study_date, "10"
    shown = item(ReferencedSOPClassUID=SOP_CLASSES["CT"])
    series = item(ReferencedImageSequence=Sequence([shown]))
    prefix = "(0008,1115)[0]"
    f.put_uid("SeriesInstanceUID", images[0].SeriesInstanceUID, item=series, prefix=prefix)
    f.put_uid("ReferencedSOPInstanceUID", images[0].SOPInstanceUID, item=shown, prefix=prefix + "(0008,1140)[0]")
    f.ds.ReferencedSeriesSequence = Sequence([series])
    f = start(Planted("linked/later.dcm", "CT", who, index=8))
    f.put_pixels(bits=16)
    source = item(ReferencedSOPClassUID=SOP_CLASSES["CT"])
    f.put_uid("ReferencedSOPInstanceUID", images[1].SOPInstanceUID, item=source, prefix="(0008,2112)[0]")
    f.ds.SourceImageSequence = Sequence([source])


def plant_intervals(who: Person, start: Start) -> None:
    """One Study over three days: dates, date-times with fraction and offset, nested and with several values."""
    first = date(int(who.study_date[:4]), int(who.study_date[4:6]), int(who.study_date[6:]))
    for number, days in enumerate((0, 3, 40)):
        day = f"{first + timedelta(days=days):%Y%m%d}"
        f = start(Planted(f"intervals/im{number}.dcm", "MR", who, index=number))
        f.put_pixels(bits=16)
        f.put("SeriesDate", day, action="date_changed")
        f.put("ContentDate", day, action="date_changed")
        f.put("AcquisitionDateTime", f"{day}235959.123456-0500", (day,), "date_changed")
        f.put("DateOfLastCalibration", [day, who.study_date], (day, who.study_date), "date_changed")
        f.put("FrameReferenceDateTime", day[:6], (), "date_changed", why="partial: year and month")
        request = item()
        f.put("ScheduledProcedureStepStartDate", day, action="date_changed", item=request, prefix="(0040,0275)[0]")
        f.ds.RequestAttributesSequence = Sequence([request])


def plant_streams(new: New) -> None:
    """Identity that stands nowhere in the file but in a stream inside a value, and shows only when that is inflated."""
    f = new("stream_private", "CT")
    who = f.person
    f.put_pixels(bits=16)
    packed = zlib.compress(f'{{"mail": "{who.email}", "id": "{who.ssn}"}}'.encode())
    f.put_raw((0x9, 0x10), "LO", "PACKED 1.0", ())
    f.ds.add_new((0x9, 0x1001), "OB", packed + b"\0" * (len(packed) % 2))
    f.add("(0009,1001)", who.ssn, (who.email, who.ssn), kind="inflated", why="JSON deflated in a private OB")
    f = new("stream_pdf", "PDF", expect="needs-policy")
    who = f.person
    f.ds.add_new((0x42, 0x11), "OB", make_pdf(f"{who.insurance} {who.ssn}", deflated=True)[0])
    f.ds.MIMETypeOfEncapsulatedDocument = "application/pdf"
    f.add("(0042,0011)", who.ssn, (who.insurance, who.ssn), kind="inflated", why="the deflated page of a PDF")


def plant_compressed_burn_in(new: New) -> None:
    """Text burned into pixels that are compressed: RLE Lossless."""
    f = new("burn_rle", "US", syntax=RLE, expect="pixel-risk")
    f.ds.BurnedInAnnotation = "YES"
    f.put_pixels(columns=128, text=f"{f.person.family} {f.person.birth_date}"[:18], at=(6, 8))


def plant_directory(who: Person, start: Start) -> None:
    """A DICOMDIR that names the patient, beside the image that it lists."""
    image = start(Planted("media/IMAGES/IM1", "CT", who, index=0))
    image.put_pixels(bits=16)
    f = start(Planted("media/DICOMDIR", "DIR", who, index=1, expect="directory"))
    f.put("FileSetID", who.station[:16])
    record = item(DirectoryRecordType="PATIENT", RecordInUseFlag=0xFFFF, OffsetOfTheNextDirectoryRecord=0)
    record.OffsetOfReferencedLowerLevelDirectoryEntity = 0
    f.ds.OffsetOfTheFirstDirectoryRecordOfTheRootDirectoryEntity = 0
    f.put("PatientName", f"{who.mother}^Dir", (who.mother,), item=record, prefix="(0004,1220)[0]")
    f.ds.DirectoryRecordSequence = Sequence([record])


def plant_cut_files(new: New) -> None:
    """Files that end too early: in native pixels, in compressed ones, and in a sequence at the end of the header."""
    f = new("cut_pixels", "CT", expect="truncated")
    f.put_pixels(bits=16)
    f.cut = 1000
    f = new("cut_rle", "MR", syntax=RLE, expect="truncated")
    f.put_pixels()
    f.cut = 8
    f = new("cut_header", "MR", expect="truncated")
    f.put("RequestedProcedureDescription", f.person.free)
    f.ds.RequestAttributesSequence = Sequence([item(ScheduledProcedureStepID="1" * 16)])
    f.cut = 7
