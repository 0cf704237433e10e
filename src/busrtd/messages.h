/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Everything that busrtd says to its operator once it runs, in one place: one line that says who,
 * what, why and where it helps what to do, and the MESSAGE_ID by which the journal finds it. Names
 * that peers gave themselves are made harmless here.
 */
#pragma once

#include <sys/resource.h>

#include "busrtd/log.h"
#include "config/config.h"
#include "engine/engine.h"

struct real_time; /* busrtd/real-time.h */

/* The start and the end. */
void message_starting(struct log_record *ret);
void message_default_socket(struct log_record *ret, const char *path);
void message_listening(struct log_record *ret, enum transport_kind kind, const char *name, int mode,
                       bool inherited);
void message_limits(struct log_record *ret, const struct engine_config *config, rlim_t max_files);
void message_real_time(struct log_record *ret, const struct real_time *rt,
                       const struct engine_config *config);
/* needed: what there would be to lock. */
void message_not_locked(struct log_record *ret, int error, size_t needed, rlim_t limit);
void message_stopping(struct log_record *ret, const char *signal_name);
void message_failed(struct log_record *ret, const char *text);
/* error: one line with file, line, reason. */
void message_config_refused(struct log_record *ret, const char *error,
                            const struct config_place *where);

/* Configuration. changes: "nothing changed", or what did; error: one line with file, line, reason.
 */
void message_unknown_key(struct log_record *ret, const struct config_entry *entry);
/* NULL: none. */
void message_access_rules(struct log_record *ret, const struct access_rules *rules);
void message_reloaded(struct log_record *ret, const char *changes);
void message_not_reloaded(struct log_record *ret, const char *error,
                          const struct config_place *where);

/* What the engine tells. False: nothing that is worth a line. */
bool message_event(struct log_record *ret, const struct engine_event *event);

/* Listeners and FIFOs. */
void message_accept_paused(struct log_record *ret, const char *listener, int error,
                           rlim_t max_files);
void message_accept_resumed(struct log_record *ret, const char *listener);
void message_connection_refused(struct log_record *ret, const char *listener,
                                const struct transport_peer *peer, int error);
void message_fifo_line(struct log_record *ret, const char *path, const char *why);
/* One that could not be opened: text says which and why. */
void message_listener_missing(struct log_record *ret, const char *text, const char *listener);
/* One that takes nobody, or nothing, any more. */
void message_listener_failed(struct log_record *ret, enum transport_kind kind, const char *listener,
                             const char *why);

/* org.busrt1 on D-Bus: not there at the start, taken (again), lost. why: a phrase. */
void message_bus_missing(struct log_record *ret, const char *name, const char *why,
                         bool tried_again);
void message_bus_taken(struct log_record *ret, const char *name);
void message_bus_lost(struct log_record *ret, const char *name, const char *why);

/* What somebody asked of an administrator's matters, on D-Bus or of `.broker`. */
struct admin_request {
        const char *action; /* polkit's, "org.busrt1.disconnect" */
        const char *what;   /* completes "may not ..." and "was let ...": `disconnect client "a"` */
        const char *client; /* whom it is about; "" */
        const char *sender; /* ":1.42" on D-Bus, or the name of the client that asked `.broker` */
        const char *source; /* of a TCP client; "" or NULL */
        bool has_uid;
        uid_t uid;
        pid_t pid; /* 0: not known */
};
void message_denied(struct log_record *ret, const struct admin_request *request, const char *why);
/* For what changed something. */
void message_granted(struct log_record *ret, const struct admin_request *request);

/* The watchdog. Times are nanoseconds. */
void message_worker_stalled(struct log_record *ret, uint64_t since);
void message_worker_resumed(struct log_record *ret, uint64_t since);

/* The log itself. n records of whom, and the dropped frames that they told of. */
void message_suppressed(struct log_record *ret, const char *who, uint64_t n, uint64_t frames);
void message_records_lost(struct log_record *ret, uint64_t n);
bool message_is_of_lost_records(const struct log_record *record);
