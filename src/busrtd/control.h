/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an administrator may ask of a running broker, whichever way the question comes: D-Bus,
 * `.broker` or SIGHUP. From the main thread only.
 */
#pragma once

#include <systemd/sd-event.h>

#include "busrtd/log.h"
#include "busrtd/notify.h"
#include "busrtd/options.h"
#include "busrtd/real-time.h"
#include "busrtd/report.h"
#include "busrtd/sockets.h"

#define CONTROL_ERROR_MAX 512

/* daemon.c makes it, and ends its parts. */
struct control {
        sd_event *loop;
        struct engine *engine;
        struct sockets *sockets;
        struct log *log;
        struct report *report;
        struct notify *notify;
        const struct options *options;      /* in force now */
        const struct options *started_with; /* what matters at the start only is from here */
        struct options reloaded;            /* where options points after a reload */
        struct real_time *real_time;
        rlim_t max_files;
        uint64_t started_at;                 /* CLOCK_REALTIME, ns */
        void (*on_reloaded)(void *userdata); /* new options are in force; NULL: nobody asks */
        void *reloaded_userdata;
};

/* options are those of the start, which outlive it. The rest of the fields is the caller's to set.
 */
void control_init(struct control *c, const struct options *options);
void control_done(struct control *c);

/* Reads the files again: all of it comes into force or nothing. 0, or -errno and one line (file,
 * line, reason). Both are told in the log, and to the service manager. */
int control_reload(struct control *c, char error[CONTROL_ERROR_MAX]);

/* One record for each key in the files that means nothing here. */
void control_warn_of_unknown_keys(struct report *report, const struct options *options);

/* Every key, its value in force and where that came from: file "" and line 0 are the built-in
 * value; or file is "command line". Until fn returns non-zero, which is returned. */
int control_foreach_setting(struct control *c,
                            int (*fn)(const char *key, const char *value, const char *file,
                                      unsigned line, void *userdata),
                            void *userdata);

/* LOG_ERR to LOG_DEBUG. */
void control_set_log_level(struct control *c, int priority);
int control_log_level(const struct control *c);
/* "err", "warning", "notice", "info", "debug". */
const char *control_log_level_name(int priority);
/* The priority, or -EINVAL: none of these. */
int control_log_level_find(const char *name);
