"""Does segmon itself work: watch, stream, evaluation, database."""

from __future__ import annotations

from dashboards.queries.asking import Numbers, now, over_time, series, state

SYNCED = over_time(f"min by (cluster, kind) ({state('segmon_watch_synced')})", "{{kind}} · {{cluster}}")
NOT_SYNCED = now(f"sum (1 - {state('segmon_watch_synced')})")
LAG = over_time(f"max by (topic, partition) ({series('segmon_consumer_lag')})", "{{topic}}/{{partition}}")
LAG_NOW = now(f"sum (max by (topic, partition) ({series('segmon_consumer_lag')}))")
PROCESSES = now(f"count by (component, version) ({series('segmon_build_info')})", "{{component}} {{version}}")


def _quantiles(metric: str, by: str) -> tuple[Numbers, ...]:
    rate = f"sum by (le, {by}) (rate({series(f'{metric}_bucket')}[$__rate_interval]))"
    return tuple(
        over_time(f"histogram_quantile({q}, {rate})", f"{{{{{by}}}}} {words}")
        for q, words in ((0.5, "median"), (0.95, "95 %"), (0.99, "99 %"))
    )


EVALUATING = _quantiles("segmon_evaluation_duration_seconds", "cluster")
RECORDING = _quantiles("segmon_recording_duration_seconds", "component")


def _counted(metric: str, *by: str) -> Numbers:
    """Events in each step of the picture."""
    legend = " · ".join(f"{{{{{name}}}}}" for name in by)
    return over_time(f"sum by ({', '.join(by)}) (increase({series(metric)}[$__rate_interval]))", legend)


def _per_second(metric: str, legend: str) -> Numbers:
    return over_time(f"sum by (cluster) (rate({series(metric)}[$__rate_interval]))", legend)


DEAD_LETTERS = _counted("segmon_dead_letters_total", "topic", "reason")
DATABASE_ERRORS = _counted("segmon_database_errors_total", "component", "kind")
PARSE_ERRORS = _counted("segmon_parse_errors_total", "reason")
WATCH_RESTARTS = _counted("segmon_watch_restarts_total", "cluster", "kind", "reason")
FACTS = (
    _per_second("segmon_published_facts_total", "{{cluster}} published"),
    _per_second("segmon_facts_total", "{{cluster}} folded"),
)
