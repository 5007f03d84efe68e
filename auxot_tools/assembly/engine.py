"""What is asked of the sandbox engine outside of calls: the image, boxes, options.

One job: wiring, from the configuration to the sandbox.
"""

from collections.abc import Sequence

from auxot_tools.config import Config
from auxot_tools.sandbox.image import ImageReport, Progress, build_image
from auxot_tools.sandbox.listing import list_boxes, reap
from auxot_tools.sandbox.options import SandboxOptions
from auxot_tools.sandbox.reaper import ListedBox


def build_sandbox_image(config: Config, progress: Progress) -> ImageReport:
    """Make the sandbox image unless it is there. Blocking. Raises what `build_image` raises."""
    return build_image(
        config.sandbox.base,
        config.sandbox.engine_url or None,
        progress,
        packages=config.sandbox.packages,
    )


def listed_boxes(config: Config) -> Sequence[ListedBox]:
    """The containers of all workers on the engine, oldest first. Blocking. Raises `Unavailable`."""
    return list_boxes(config.sandbox.engine_url)


def reap_boxes(config: Config) -> int:
    """Remove what dead workers left; how many containers. Blocking. Raises `Unavailable`."""
    return reap(config.sandbox.engine_url)


def sandbox_options(config: Config, concurrency: int) -> SandboxOptions:
    """The sandbox that the configuration describes, for so many boxes in use at once."""
    settings = config.sandbox
    return SandboxOptions(
        concurrency=concurrency,
        engine_url=settings.engine_url,
        image=settings.image,
        image_base=settings.base,
        image_packages=settings.packages,
        runtime=settings.runtime,
        channel=settings.channel,
        ready=settings.ready,
        warm_calls=settings.warm_calls,
        session_idle_s=settings.session_idle_s,
        session_age_s=settings.session_age_s,
        sessions_per_tenant=settings.sessions_per_tenant,
        sessions=settings.sessions,
        call_limit_s=settings.limits.timeout_s,
        run_dir=settings.run_dir,
    )
