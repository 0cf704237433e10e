/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an administrator asks of busrtd, whichever way it goes: org.busrt1 on D-Bus where it is
 * there, else methods of `.broker`, which only root and the broker's own user may call. The verbs
 * that use it know nothing of the way.
 *
 * Functions that return int return 0, or -EXIT_FAILURE after they have said on stderr what went
 * wrong and what to do about it; outputs are untouched then.
 */
#pragma once

#include <sys/types.h>

#include "busrtctl/busrtctl.h"

struct admin;

/* Which broker: settings->instance; else settings->bus; else -s or $BUSRT_SOCKET, which goes by
 * `.broker` unless it is the user's or the system's own path; else the user's where its socket is
 * there, else the system's. */
int admin_open(const struct settings *settings, struct admin **ret);
/* Returns NULL. */
struct admin *admin_free(struct admin *admin);
static inline void admin_freep(struct admin **admin)
{
        (void)admin_free(*admin);
}

/* "org.busrt1 on the system's D-Bus", "/run/busrt/bus.sock": how it is reached, for people. */
const char *admin_route(const struct admin *admin);

#define ADMIN_NO_ID UINT32_MAX /* of a user, group */

/* Texts are the broker's, owned by what holds them; none is NULL. */
struct admin_client {
        uint64_t id;
        const char *name;
        const char *kind;               /* "local_ipc", "tcp", "internal" */
        const char *listener;           /* path or address it came in by */
        const char *primary;            /* "": it is one */
        uint32_t uid, gid;              /* ADMIN_NO_ID: not a UNIX peer */
        uint32_t pid;                   /* 0: not known */
        uint64_t connected;             /* microseconds, CLOCK_REALTIME */
        uint64_t in_frames, in_bytes;   /* what it sent into the bus */
        uint64_t out_frames, out_bytes; /* what was queued for it */
        uint64_t dropped;
        uint64_t queue_frames, queue_bytes, queue_frames_max, queue_bytes_max;
        uint64_t paced;     /* microseconds it was held up as a sender */
        uint64_t instances; /* 1 + secondaries */
};

struct admin_clients {
        struct admin_client *clients; /* sorted by name */
        size_t n;
        struct admin_memory *memory; /* what the texts lie in */
};
int admin_list_clients(struct admin *admin, struct admin_clients *ret);
void admin_clients_done(struct admin_clients *clients);

/* One client in full, by its name; or by its id, where the name is "#ID": refused where that is the
 * name of another. "No such client" is told as any other failure is. */
struct admin_client_details {
        struct admin_client client;
        const char *unit;    /* systemd's, of its process; "" where not known */
        const char *address; /* TCP peers'; "" for others */
        const char **secondaries, **subscriptions, **exclusions; /* NULL-terminated */
        bool private_denied; /* address and masks are not there: polkit did not let them out */
        struct admin_memory *memory;
};
int admin_get_client(struct admin *admin, const char *name, struct admin_client_details *ret);
void admin_client_details_done(struct admin_client_details *details);

/* Who subscribes to what: of one client, or with name NULL of all. Sorted by client, mask. */
struct admin_subscription {
        const char *client, *mask;
        bool exclusion;
};
struct admin_subscriptions {
        struct admin_subscription *subscriptions;
        size_t n;
        struct admin_memory *memory;
};
int admin_list_subscriptions(struct admin *admin, const char *name,
                             struct admin_subscriptions *ret);
void admin_subscriptions_done(struct admin_subscriptions *subscriptions);

/* The broker as a whole. */
struct admin_listener {
        const char *kind, *address; /* "unix", "tcp", "fifo" */
        bool inherited;             /* from systemd */
};
struct admin_limit {
        const char *name; /* as in busrtd.conf: "QueueFrames" */
        const char *text; /* as there: "8192" */
};
struct admin_status {
        const char *version;
        uint32_t pid;
        uint64_t started; /* microseconds, CLOCK_REALTIME */
        uint64_t uptime;  /* microseconds */
        uint64_t in_frames, in_bytes, out_frames, out_bytes;
        uint64_t dropped, struck, refused, denied, bad_frames;
        uint64_t n_connections, n_clients, held;
        uint64_t queue_memory_max, max_files;
        uint64_t n_access_rules; /* sections in force */
        const char *log_level;
        struct admin_listener *listeners;
        size_t n_listeners;
        struct admin_limit *limits;
        size_t n_limits;
        struct admin_memory *memory;
};
int admin_get_status(struct admin *admin, struct admin_status *ret);
void admin_status_done(struct admin_status *status);

/* Every key of busrtd.conf, its value in force and where that was said. */
struct admin_setting {
        const char *key, *value;
        const char *file; /* "": built in; "command line" */
        uint32_t line;    /* 0: none */
};
struct admin_settings {
        struct admin_setting *settings;
        size_t n;
        struct admin_memory *memory;
};
int admin_get_settings(struct admin *admin, struct admin_settings *ret);
void admin_settings_done(struct admin_settings *settings);

/* What users, and addresses on TCP, have of all that is limited for each of them. */
#define ADMIN_NO_LIMIT UINT64_MAX
struct admin_use {
        uint64_t used, max; /* ADMIN_NO_LIMIT: there is none */
        uint64_t refused;   /* how often more was wanted */
};
struct admin_quota {
        const char *identity; /* "user 1000", "192.0.2.7", "2001:db8::/64", "broker" */
        uint32_t uid;         /* ADMIN_NO_ID: no user's */
        struct admin_use connections, names, subscriptions, held /* bytes */, handshakes;
        struct admin_use rate; /* of connections, per second; used is 0 */
};
struct admin_quotas {
        struct admin_quota *quotas; /* users by their numbers, then all else by its text */
        size_t n;
        struct admin_memory *memory;
};
/* identity: as above; NULL: all. Nothing where it has nothing on the bus. */
int admin_list_quotas(struct admin *admin, const char *identity, struct admin_quotas *ret);
void admin_quotas_done(struct admin_quotas *quotas);

int admin_disconnect(struct admin *admin, const char *name);
/* A configuration that is refused is told with file, line and reason. */
int admin_reload(struct admin *admin);
int admin_reset_statistics(struct admin *admin);
/* "debug", "info", "notice", "warning", "err"; of get the text is the admin's, until the next call.
 */
int admin_get_log_level(struct admin *admin, const char **ret);
int admin_set_log_level(struct admin *admin, const char *level);

/* What happens on the bus, as it happens. */
struct admin_event {
        uint64_t time;    /* microseconds, CLOCK_REALTIME */
        const char *what; /* connected, gone, refused, bad-frame, struck, dropped, timeout,
                             takeover, memory, denied, resync, shutdown */
        uint64_t id;      /* 0 where the way does not tell */
        const char *client;
        const char *detail; /* "" */
};
typedef int (*admin_event_handler)(const struct admin_event *event, void *userdata);
/* Calls fn for each until fn returns non-zero, interrupted(), or the broker goes. 0 in the first
 * two cases. It catches interrupts itself. */
int admin_watch(struct admin *admin, admin_event_handler fn, void *userdata);

/* Waits that long (microseconds), for verbs that ask again and again: the connection is looked
 * after meanwhile. 0; -EINTR when interrupted(); -EXIT_FAILURE when the connection ends. */
int admin_wait(struct admin *admin, uint64_t time);
