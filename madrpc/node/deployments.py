"""``_deploy`` of a node: other scripts, sent by whoever may order."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from madrpc.engine.interface import Script
from madrpc.errors import InvalidRequest, Unauthenticated
from madrpc.node.releases import Release, Releases
from madrpc.policy.rollout import parse_order

__all__ = ["deploy"]


def deploy(releases: Releases, args: Mapping[str, Any], *, allowed: bool) -> dict[str, Any]:
    """Do one step of a deployment, or all of them.

    Args:
        args: ``scripts`` loads them and lets them serve; with ``do`` ``stage`` they are only
            loaded. ``do`` ``switch`` or ``discard`` with ``release`` say what becomes of a staged
            release. ``rollback`` true brings back the release before.
        allowed: whether this node takes deployments at all.

    Returns:
        The release meant: its ``id``, ``scripts`` and ``methods``.

    Raises:
        ScriptError: the scripts cannot be loaded; nothing has changed.
        InvalidRequest: the arguments, or no such release.
        Unauthenticated: not allowed.
    """
    if not allowed:
        raise Unauthenticated(
            "this node takes no deployments: others can reach its address; start it with "
            "--allow-deploy and --auth-token-file (or --tls-ca)"
        )
    step = args.get("do", "deploy")
    if step in ("switch", "discard"):
        return _settle(releases, step, args.get("release"))
    order = parse_order(args)
    if step not in ("stage", "deploy"):
        raise InvalidRequest(f"_deploy: do is stage, switch or discard, not {str(step)[:40]!r}")
    if order.is_rollback:
        return _described(releases.roll_back())
    if order.canary is not None:
        raise InvalidRequest("_deploy: a canary is for an orchestrator; this is one node")
    release = releases.stage([Script(name, source) for name, source in order.scripts])
    return _described(release if step == "stage" else releases.switch(release.id))


def _settle(releases: Releases, step: str, id: Any) -> dict[str, Any]:
    if not isinstance(id, str):
        raise InvalidRequest(f"_deploy: {step} needs the id of a release")
    if step == "switch":
        return _described(releases.switch(id))
    releases.discard(id)
    return {}


def _described(release: Release) -> dict[str, Any]:
    return {
        "id": release.id,
        "scripts": [{"name": s.name, "sha256": s.sha256} for s in release.scripts],
        "methods": sorted(release.methods),
    }
