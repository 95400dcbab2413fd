"""What becomes of a run whose worker died or stops, where it is not to go on elsewhere (`on_restart: cancel`)."""

from agio.domain import control
from agio.domain.errors import InvalidTransition, NotFound
from agio.domain.status import StopReason
from agio.engine.clock import utc_now
from agio.engine.drive import Drive


def ends_with_worker(drive: Drive) -> bool:
    """Say whether the run is cancelled when its worker dies or stops."""
    own = drive.token.run.on_restart
    return (own or drive.services.settings.on_restart) == "cancel"


async def end_with_worker(drive: Drive) -> None:
    """Cancel the run, and the workflow that it is a part of.

    The workflow first: who takes over a child that was cut off in between does it again.
    """
    run, services = drive.state.run, drive.services
    if run.place is not None:
        now = utc_now()
        try:
            root = await services.store.update_run(
                run.group_id,
                run.place.root_run_id,
                lambda record: control.request_cancel(record, by="system", at=now, reason=StopReason.RESTART),
            )
        except (NotFound, InvalidTransition):
            pass  # it was deleted, or has ended
        else:
            services.notify(root)
    await drive.hand_on("cancel")
    await drive.cancel(partial=drive.state.partial_text, by="system", reason=StopReason.RESTART)
