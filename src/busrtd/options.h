/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The command line: the reference's options, and ours. One table in options.c says everything about
 * each of them: its names, its range, where its value goes and what --help prints.
 */
#pragma once

#include <stdio.h>

#include "config/config.h"
#include "engine/engine.h"

#define OPTIONS_ROWS_MAX 64

/* Where org.busrt1 is offered. Auto: started by systemd, on the user's bus or the system's; else
 * off. */
enum dbus_mode {
        DBUS_AUTO,
        DBUS_SYSTEM,
        DBUS_USER,
        DBUS_OFF,
};

struct options {
        struct engine_config engine; /* with a reference of the access rules */
        const char **binds; /* addresses that were checked; they point into argv or config */
        size_t n_binds;
        const char *pid_file;
        enum dbus_mode dbus;
        const char *dbus_name; /* a well-known name that was checked */
        bool verbose;
        bool daemonize;
        bool log_syslog;
        const char *config_file; /* NULL: where busrtd.conf is looked for */
        bool check_config;
        int argc; /* of the command line, which outlives this */
        char **argv;
        uint64_t given;       /* rows that the command line has set: it wins over files */
        struct config config; /* addresses may point into it */
        struct config_entry *access_unknown; /* of access rules; their texts are copies */
        size_t n_access_unknown;
        const struct config_entry *origins[OPTIONS_ROWS_MAX]; /* of values that a file has set */
        size_t without_effect; /* where --buf-size and --buf-ttl go */
};

#define OPTIONS_ERROR_MAX 512

/* 0: run. 1: --help or --version was answered on `out`. -EINVAL: error is one line that says what
 * is wrong. -ENOMEM. options_done() after 0. */
int options_parse(int argc, char **argv, FILE *out, struct options *ret,
                  char error[OPTIONS_ERROR_MAX]);

/* Adds what configuration files say and the command line does not, and the access rules. 0; else
 * error is one line with file, line and reason, or empty where errno says all. */
int options_read_config(struct options *options, char error[OPTIONS_ERROR_MAX]);
/* Keys that mean nothing here, from *i = 0 on, and NULL after the last. */
const struct config_entry *options_next_unknown(const struct options *options, size_t *i);
/* One line for each value that is not the built-in one, and where it comes from. */
void options_print_effective(const struct options *options, FILE *out);

/* The same command line, and what the files say now. 0; else as options_read_config(), and where
 * tells which line of a file is to blame, if one is. */
int options_read_again(const struct options *options, struct options *ret,
                       char error[OPTIONS_ERROR_MAX], struct config_place *where);

struct option_setting {
        const char *key;
        const char *value;
        const char *file; /* "": built in, or "command line" */
        unsigned line;    /* 0: none */
        bool at_start;    /* it matters at the start only */
};

/* Every key with its value, Listen= once for each address (once with an empty value where there is
 * none), until fn returns non-zero, which is returned. */
int options_foreach_setting(const struct options *options,
                            int (*fn)(const struct option_setting *setting, void *userdata),
                            void *userdata);

/* As busrtd.conf writes it. */
const char *options_slow_policy_word(enum slow_policy policy);
const char *options_force_register_word(enum force_register force);

void options_done(struct options *options);
