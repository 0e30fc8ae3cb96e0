"""How reports and drawings look: one palette for light and dark, told apart without colour too."""

from __future__ import annotations

from typing import Final

_LIGHT: Final = """
--page:#f6f7f9;--card:#ffffff;--text:#1b2330;--faint:#5a6577;--rule:#dde2ea;
--good:#12713f;--bad:#b3261e;--caution:#8a5300;--caution-card:#fff4dc;--bad-card:#fdecea;
--c0:#1f5fbf;--c1:#c2410c;--c2:#0b7a6f;--c3:#9b2fae;--c4:#6b7a00;--c5:#5a6577;
"""
_DARK: Final = """
--page:#10141b;--card:#191f29;--text:#e4e9f1;--faint:#9aa6b8;--rule:#2e3747;
--good:#5fd394;--bad:#ff8a80;--caution:#f0bd62;--caution-card:#33290f;--bad-card:#3a1a19;
--c0:#7cb2ff;--c1:#ff9d66;--c2:#4fd6c5;--c3:#e294f0;--c4:#c5d45c;--c5:#9aa6b8;
"""
_DASHES: Final = {1: "7 3", 2: "2 3", 3: "9 3 2 3", 4: "4 2", 5: "1 4"}


def palette(selector: str) -> str:
    """The colours as custom properties, dark ones where the reader's system is."""
    dark = f"@media (prefers-color-scheme:dark){{{selector}{{{_DARK}}}}}"
    return f"{selector}{{color-scheme:light dark;{_LIGHT}}}{dark}"


def chart_style() -> str:
    """Of what `drawing` draws."""
    series = "".join(
        f".line.c{number}{{stroke:var(--c{number});stroke-dasharray:{_DASHES.get(number, 'none')}}}"
        f".mark.c{number},.bar.c{number}{{fill:var(--c{number})}}"
        for number in range(6)
    )
    return f"""
.chart text{{font:12px system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;fill:var(--text);
font-variant-numeric:tabular-nums}}
.chart .grid path{{stroke:var(--rule);stroke-width:1;fill:none}}
.chart .grid .base{{stroke:var(--faint)}}
.chart .grid text,.chart .axis text{{fill:var(--faint)}}
.chart .line{{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}}
.chart .mark{{stroke:var(--card);stroke-width:1}}
{series}.chart .line.fit{{stroke-width:1.5;stroke-dasharray:5 4}}
"""


PAGE: Final = """
*{box-sizing:border-box}
body{margin:0;background:var(--page);color:var(--text);
font:16px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1180px;margin:0 auto;padding:24px 20px 64px}
h1{font-size:1.6rem;line-height:1.25;margin:0 0 4px}
h2{font-size:1.15rem;margin:0 0 12px}
p{margin:0 0 8px}.faint{color:var(--faint)}
section,figure{background:var(--card);border:1px solid var(--rule);border-radius:10px;
padding:18px 20px;margin:0 0 18px;min-width:0}
header{margin:0 0 18px}
.verdict{display:inline-block;border-radius:6px;padding:1px 10px;font-weight:650;font-size:1rem;
letter-spacing:.03em;vertical-align:3px;margin-right:10px;border:1.5px solid currentColor}
.good{color:var(--good)}.bad{color:var(--bad)}
.note{border-left:4px solid var(--caution);background:var(--caution-card)}
.alarm{border-left:4px solid var(--bad);background:var(--bad-card)}
.keys{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px;
margin:0 0 18px}
.keys div{background:var(--card);border:1px solid var(--rule);border-radius:10px;padding:12px 16px}
.keys dt{color:var(--faint);font-size:.85rem;overflow-wrap:anywhere}
.keys dd{margin:0;font-size:1.45rem;font-weight:600;font-variant-numeric:tabular-nums;
white-space:nowrap}
.keys small{font-size:.8rem;font-weight:400;color:var(--faint)}
.pairs{display:grid;grid-template-columns:repeat(2,minmax(0,1fr));gap:0 18px;align-items:start}
figcaption h2{margin-bottom:2px}figcaption p{color:var(--faint);font-size:.9rem}
.chart{width:100%;height:auto;display:block}.narrow{display:none}
.scroll{overflow-x:auto}
table{border-collapse:collapse;width:100%;font-size:.92rem;font-variant-numeric:tabular-nums}
th,td{padding:5px 10px;border-bottom:1px solid var(--rule);text-align:right;white-space:nowrap}
tr>:first-child{padding-left:0}tr>:last-child{padding-right:0}
tbody tr:last-child>*{border-bottom:0}
th{font-weight:500;color:var(--faint)}tbody th{color:var(--text)}
.left{text-align:left;white-space:normal;overflow-wrap:anywhere}
tr.bad>*{color:var(--bad);font-weight:600}
details{margin-top:8px}summary{cursor:pointer;color:var(--faint);font-size:.9rem}
details .scroll{max-height:320px;overflow-y:auto}
pre{margin:0;white-space:pre-wrap;overflow-wrap:anywhere;
font:.9rem/1.5 ui-monospace,"SF Mono",Menlo,Consolas,monospace}
a{color:var(--c0)}
@media (max-width:860px){.pairs{grid-template-columns:minmax(0,1fr)}}
@media (max-width:520px){main{padding:16px 12px 40px}section,figure{padding:14px 12px}
.wide{display:none}.narrow{display:block}th,td{padding:5px 6px}.keys{grid-template-columns:1fr 1fr}}
@media print{body{background:#fff}section,figure{break-inside:avoid}}
"""
