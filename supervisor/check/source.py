"""A SQL file's bytes as text, with the places in it: what is wrong with the encoding is a finding. Pure."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from supervisor.check import finding
from supervisor.check.finding import Finding, Rule, Severity

_BOM = b"\xef\xbb\xbf"
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


@dataclass
class Source:
    """One file as text, and what was found in it.

    Attributes:
        label: the file, as it is shown.
        text: with LF line ends and without a byte order mark; empty when it cannot be decoded.
        findings: everything found so far.
    """

    label: str
    text: str
    findings: list[Finding] = field(default_factory=list)
    _line_starts: list[int] | None = None

    def place(self, offset: int) -> tuple[int, int]:
        """Line and column, both counted from 1, of the character that `offset` others come before."""
        if self._line_starts is None:
            self._line_starts = [0]
            end = self.text.find("\n")
            while end >= 0:
                self._line_starts.append(end + 1)
                end = self.text.find("\n", end + 1)
        line = bisect_right(self._line_starts, max(offset, 0))
        return line, max(offset, 0) - self._line_starts[line - 1] + 1

    def report(
        self,
        rule: Rule,
        offset: int,
        message: str,
        *,
        remedy: str | None = None,
        severity: Severity | None = None,
        relation: str | None = None,
    ) -> None:
        """Add one finding.

        Args:
            rule: what was looked for.
            offset: characters before the place.
            message: one sentence on what is wrong.
            remedy: replaces the rule's own.
            severity: replaces the rule's own.
            relation: the relation concerned.
        """
        line, column = self.place(offset)
        self.report_at(rule, line, column, message, remedy=remedy, severity=severity, relation=relation)

    def report_at(
        self,
        rule: Rule,
        line: int,
        column: int,
        message: str,
        *,
        remedy: str | None = None,
        severity: Severity | None = None,
        relation: str | None = None,
    ) -> None:
        """Add one finding at a line and a column."""
        self.findings.append(
            Finding(
                file=self.label,
                line=line,
                column=column,
                code=rule.code,
                severity=severity or rule.severity,
                message=message,
                remedy=rule.remedy if remedy is None else remedy,
                relation=relation,
            )
        )


@dataclass(frozen=True, slots=True)
class Fragment:
    """A part of a file that is parsed by itself, such as the body of a DO block.

    Attributes:
        text: as the parser gets it.
        start: characters of the file before it.
        exact: whether the file has `text` literally; if not, every place in it is `start`.
    """

    text: str
    start: int
    exact: bool = True

    def offset(self, byte: int) -> int:
        """Characters of the file before a place that the parser gives in UTF-8 bytes."""
        if not self.exact or byte < 0:
            return self.start
        if self.text.isascii():
            return self.start + byte
        return self.start + len(self.text.encode()[:byte].decode(errors="ignore"))

    def part(self, start: int, text: str, *, exact: bool = True) -> Fragment:
        """The fragment of `text` that `start` characters of this one come before."""
        return Fragment(text, self.start + start if self.exact else self.start, exact and self.exact)


def read_source(label: str, data: bytes) -> Source:
    """Decode a file as PostgreSQL would have it: UTF-8 without NUL."""
    source = Source(label, "")
    if data.startswith(_BOM):
        source.report(finding.BYTE_ORDER_MARK, 0, "the file begins with a byte order mark")
        data = data[len(_BOM) :]
    if b"\r\n" in data:
        line = data.count(b"\n", 0, data.index(b"\r\n")) + 1
        ends = data.count(b"\r\n")
        what = "1 line ends" if ends == 1 else f"{ends} lines end"
        source.report_at(finding.CRLF, line, 1, f"{what} in CRLF, as on Windows")
        data = data.replace(b"\r\n", b"\n")
    try:
        source.text = data.decode()
    except UnicodeDecodeError as error:
        line, column = _place_in_bytes(data, error.start)
        is_utf_16 = data.startswith(_UTF_16)
        message = "the file is UTF-16" if is_utf_16 else f"the byte 0x{data[error.start]:02x} is not UTF-8"
        source.report_at(finding.ENCODING, line, column, message)
        return source
    if "\0" in source.text:
        source.report(finding.NUL, source.text.index("\0"), "there is a NUL character")
        source.text, source._line_starts = "", None
    return source


def _place_in_bytes(data: bytes, offset: int) -> tuple[int, int]:
    start = data.rfind(b"\n", 0, offset) + 1
    return data.count(b"\n", 0, offset) + 1, len(data[start:offset].decode(errors="replace")) + 1
