"""What the numbers of a swap mean, in sentences and in one word."""

from __future__ import annotations

from typing import Any

from likeness.evaluation.report.figures import Tree, shown


def sentences(metrics: Tree) -> list[str]:
    """Two or three sentences that say what the numbers mean."""
    if not metrics["frames"]["with_face"]:
        return [
            "No face was found in the target clip, so nothing was replaced: the render is a copy."
        ]
    who = metrics["identity_cosine"]
    source, target = shown(who["source"], ".2f"), shown(who["target"], ".2f")
    copied, pasted = (
        shown(who[name]["source"], ".2f") for name in ("target_copied", "source_pasted")
    )
    share = f"{100 * (who['nearer_to_source'] or 0.0):.0f} %"
    nearer = (
        f"In {share} of the measured frames the face is nearer to the source than to the target"
    )
    beside = f"The target untouched reaches {copied} to the source, a plain paste {pasted}, the"
    found = [
        f"{nearer} ({source} against {target}).",
        f"{beside} source's own footage {shown(who['source_itself'], '.2f')}.",
    ]
    second = metrics.get("identity_independent") or {}
    if second.get("source") is not None and second.get("target") is not None:
        found.append(
            "An embedder that nothing else uses says "
            f"{shown(second['source'], '.2f')} against {shown(second['target'], '.2f')}."
        )
    ssim = metrics["outside"]["ssim"]
    if ssim is not None:
        found.append(f"Outside the mask the picture keeps an SSIM of {ssim:.4f}.")
    return found


def gates(metrics: Tree) -> list[dict[str, Any]]:
    """Gates for the template, the failed ones first: path, bound, value, passed."""
    stated = metrics.get("gates") or {}
    found = [
        {
            "path": path,
            "bound": gate["bound"],
            "value": shown(gate["value"], "g"),
            "passed": gate["passed"],
        }
        for path, gate in sorted(stated.items())
    ]
    return sorted(found, key=lambda gate: gate["passed"])


def badge(metrics: Tree) -> tuple[str, str]:
    """(state, text) in a word: "pass", "fail", or "open" where no gate is stated."""
    stated = gates(metrics)
    if not stated:
        return "open", "no gates stated"
    failed = sum(not gate["passed"] for gate in stated)
    if failed:
        return "fail", f"{failed} of {len(stated)} gates fail"
    return "pass", "the gate holds" if len(stated) == 1 else f"all {len(stated)} gates hold"
