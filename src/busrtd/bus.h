/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The broker on D-Bus: org.busrt1(5). All of it runs on the main thread's loop and never waits for
 * the D-Bus daemon; for the worker it waits a bounded time. Without a D-Bus all else goes on, and
 * the name is taken as soon as it can be.
 */
#pragma once

#include "busrtd/control.h"

struct bus;

/* The options of control say which D-Bus and which name; *ret is NULL where it is to be on none.
 * control outlives it, and is told by it of reloads. 0 or -errno; no D-Bus is no error. */
int bus_new(struct control *control, struct bus **ret);
/* Takes NULL. Returns NULL. */
struct bus *bus_free(struct bus *bus);

/* Takes NULL. Costs nothing while nobody is subscribed. */
void bus_tell_event(struct bus *bus, const struct engine_event *event);
