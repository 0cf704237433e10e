/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who may do what on D-Bus. Root and the broker's own user may do all; whoever the caller names as
 * the owner may do it, too; on the system's bus polkit decides about the others, on a user's bus
 * nobody else may. All of it is asked without waiting: the handler of the method is called twice,
 * and whatever is in doubt is refused.
 *
 *      r = polkit_check(polkit, m, method_reload, &request, error);
 *      if (r <= 0)
 *              return r < 0 ? r : 1;
 *      ... do it ...
 *      polkit_tell_granted(polkit, &request);
 */
#pragma once

#include <systemd/sd-bus.h>

#include "busrtd/messages.h"
#include "busrtd/report.h"

struct polkit;

struct polkit_request {
        struct admin_request admin; /* action, what and client are the caller's; the rest is filled
                                       in with 1 */
        bool has_owner;
        uid_t owner;
};

/* ask: there is a polkit to ask. bus_name: the broker's name on D-Bus, which rules of polkit may
 * look at; it outlives this. 0 or -ENOMEM. */
int polkit_new(struct report *report, bool ask, const char *bus_name, struct polkit **ret);
/* Also forgets who waits for an answer. Returns NULL. */
struct polkit *polkit_free(struct polkit *polkit);
/* The connection is lost: nobody waits any more. */
void polkit_forget_all(struct polkit *polkit);

/* May the sender of m? 1: yes. 0: it is not known yet; handler is called again with m and userdata,
 * and its errors are replied. < 0: no, and error says so. */
int polkit_check(struct polkit *polkit, sd_bus_message *m, sd_bus_message_handler_t handler,
                 void *userdata, struct polkit_request *request, sd_bus_error *error);
/* For the log: it was let, and something has changed. */
void polkit_tell_granted(struct polkit *polkit, const struct polkit_request *request);
