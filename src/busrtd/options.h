/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: the reference's options, and ours. One table in options.c says everything about
 * each of them: its names, its range, where its value goes and what --help prints.
 */
#pragma once

#include <stdio.h>

#include "engine/engine.h"

struct options {
        struct engine_config engine;
        const char **binds; /* addresses that were checked; they point into argv */
        size_t n_binds;
        const char *pid_file;
        bool verbose;
        bool daemonize;
        bool log_syslog;
        size_t without_effect; /* where -w, --buf-size and --buf-ttl go */
};

#define OPTIONS_ERROR_MAX 512

/* 0: run. 1: --help or --version was answered on `out`. -EINVAL: error is one line that says what
 * is wrong. -ENOMEM. options_done() after 0. */
int options_parse(int argc, char **argv, FILE *out, struct options *ret,
                  char error[OPTIONS_ERROR_MAX]);
void options_done(struct options *options);
