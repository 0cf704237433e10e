/* SPDX-License-Identifier: Apache-2.0 */
/* For admin.c and its two ways alone: what a way can do, and what they share. */
#pragma once

#include <systemd/sd-bus.h>

#include "busrtctl/admin-memory.h"
#include "busrtctl/admin.h"

/* Results lie in the memory that the caller gives, in the order in which they came, and may be
 * half-filled on failure, which is told as in admin.h. */
struct admin_way {
        int (*list_clients)(struct admin *admin, struct admin_memory *memory,
                            struct admin_clients *ret);
        int (*get_client)(struct admin *admin, const char *name, struct admin_memory *memory,
                          struct admin_client_details *ret);
        int (*list_subscriptions)(struct admin *admin, const char *name,
                                  struct admin_memory *memory, struct admin_subscriptions *ret);
        int (*get_status)(struct admin *admin, struct admin_memory *memory,
                          struct admin_status *ret);
        int (*get_settings)(struct admin *admin, struct admin_memory *memory,
                            struct admin_settings *ret);
        int (*list_quotas)(struct admin *admin, const char *identity, struct admin_memory *memory,
                           struct admin_quotas *ret);
        int (*disconnect)(struct admin *admin, const char *name);
        int (*reload)(struct admin *admin);
        int (*reset_statistics)(struct admin *admin);
        int (*get_log_level)(struct admin *admin, struct admin_memory *memory, const char **ret);
        int (*set_log_level)(struct admin *admin, const char *level);
        int (*watch)(struct admin *admin, admin_event_handler fn, void *userdata);
        int (*wait)(struct admin *admin, uint64_t end); /* microseconds, monotonic */
};

extern const struct admin_way admin_way_bus;
extern const struct admin_way admin_way_rpc;

struct admin {
        const struct admin_way *way;
        struct settings settings; /* address: of the socket; NULL: the default */
        char *route;

        bool user;      /* the user's bus; else the system's */
        char *bus_name; /* org.busrt1; NULL: that way is not for this broker */
        char *no_bus;   /* why that way is closed, to be told; NULL: it was not tried, or is not */
        sd_bus *bus;

        busrt_client *client; /* the other way */

        struct admin_memory *log_level; /* of what was told last */
};

/* --- What both have to say; each returns -EXIT_FAILURE --- */

int admin_fail_no_client(const char *name);
/* r: -ENOMEM, or else the answer to that question makes no sense. */
int admin_fail_answer(const struct admin *admin, const char *question, int r);
/* reason: "FILE:LINE: WHY" */
int admin_fail_reload(const char *reason);
/* The broker does not know such a question. */
int admin_fail_unknown(const struct admin *admin, const char *question);
/* "As root it is allowed", to those who are not. */
void admin_advise_root(void);

/* Whether the name is "#ID". */
bool admin_name_is_id(const char *name, uint64_t *ret);
