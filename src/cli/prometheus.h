/* prometheus.h - the text format of Prometheus, version 0.0.4.
 *
 * A metric is its HELP and TYPE lines and then all its samples. A name belongs to one kind of
 * figure for ever: monitoring elsewhere relies on it, and the manual pages list them.
 */
#ifndef TIDEMARK_CLI_PROMETHEUS_H
#define TIDEMARK_CLI_PROMETHEUS_H

#include "cli/cli.h"

/* The labels of a sample. NULL ends them early; values are valid UTF-8. */
#define CLI_LABELS_MAX 4
typedef struct cli_label {
    const char *name;
    const char *value;
} cli_label;

/* `type` is "gauge" or "counter"; `help` is one line. */
void cli_metric(cli_call *call, const char *name, const char *type, const char *help);

void cli_sample_count(cli_call *call, const char *name, const cli_label labels[CLI_LABELS_MAX],
                      uint64_t value);

/* In seconds since 1970. */
void cli_sample_time(cli_call *call, const char *name, const cli_label labels[CLI_LABELS_MAX],
                     tide_time value);

#endif
