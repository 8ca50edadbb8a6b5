"""The agency kit as files: what lies beside the certificates in the folder of `export`."""

from __future__ import annotations

from collections.abc import Mapping

from safetok.reports.einvoice import text_file, xml_file
from safetok.reports.kit import PAGE, Kit, message
from safetok.reports.page import page
from safetok.reports.record import record


def kit_files(kit: Kit, stem: str) -> Mapping[str, bytes]:
    """Name and content of what comes beside the certificates: page, record, message, and the e-invoice rows."""
    files = {
        f"{stem}{PAGE}": page(kit).encode(),
        f"{stem}_bien-ban.html": record(kit).encode(),
        f"{stem}_zalo.txt": message(kit).encode("utf-8-sig"),
    }
    if any(card.guide and card.guide.form for card in kit.used):
        files[f"{stem}_01DKTD-HDDT.txt"] = text_file(kit.rows).encode("utf-8-sig")
        files |= {f"{stem}_01DKTD-HDDT_HThuc{row.hthuc}.xml": xml_file(row) for row in kit.rows}
    return files
