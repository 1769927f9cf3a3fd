"""Draw an order's invoice as a PDF."""

from __future__ import annotations

import io

from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.lib.units import mm
from reportlab.platypus import Flowable, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from .models import Order


def draw_invoice(order: Order, *, number: int) -> bytes:
    """Return the PDF's bytes; ``number`` is which of the customer's invoices it is."""
    styles = getSampleStyleSheet()
    customer = order.customer
    story: list[Flowable] = [
        Paragraph("The Shop", styles["Title"]),
        Paragraph(f"Invoice {order.pk:05}", styles["Heading1"]),
        Paragraph(f"{customer.name}, {customer.city}", styles["Normal"]),
        Paragraph(f"{order.placed_at:%d %B %Y}, your invoice number {number}", styles["Normal"]),
        Spacer(1, 10 * mm),
        _lines(order),
        Spacer(1, 10 * mm),
        Paragraph("Thank you for your order.", styles["Normal"]),
    ]
    buffer = io.BytesIO()
    SimpleDocTemplate(buffer, pagesize=A4, title=f"Invoice {order.pk:05}", author="The Shop").build(story)
    return buffer.getvalue()


def _lines(order: Order) -> Table:
    rows = [["Product", "Quantity", "Price", "Sum"]]
    rows += [
        [line.product.name, str(line.quantity), f"{line.price}", f"{line.price * line.quantity}"]
        for line in order.lines.select_related("product")
    ]
    rows.append(["Total", "", "", f"{order.total}"])
    table = Table(rows, colWidths=[80 * mm, 25 * mm, 30 * mm, 30 * mm])
    table.setStyle(
        TableStyle(
            [
                ("LINEBELOW", (0, 0), (-1, 0), 1, colors.black),
                ("LINEABOVE", (0, -1), (-1, -1), 1, colors.black),
                ("ALIGN", (1, 0), (-1, -1), "RIGHT"),
                ("FONTNAME", (0, -1), (-1, -1), "Helvetica-Bold"),
            ]
        )
    )
    return table
