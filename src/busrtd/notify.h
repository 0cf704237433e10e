/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the service manager is told (sd_notify(3)). That waits while the manager reads nothing, or
 * while others have filled its socket, so it is done by a thread of its own, in the order in which
 * it was asked for. From the main thread only.
 */
#pragma once

#include "basic/macro.h"

struct notify;

/* Without a service manager there is nothing to be done, nor a thread. */
int notify_new(struct notify **ret);
/* Gives what is still to be told one second. Takes NULL and returns it. */
struct notify *notify_free(struct notify *notify);

/* A state: "READY=1". Where too many wait, the last of them is replaced. */
_printf_(2, 3) void notify_tell(struct notify *notify, const char *format, ...);
/* What another will follow: "STATUS=...", "WATCHDOG=1". Where too many wait, it is dropped. */
_printf_(2, 3) void notify_tell_lightly(struct notify *notify, const char *format, ...);
