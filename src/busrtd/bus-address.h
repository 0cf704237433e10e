/* SPDX-License-Identifier: Apache-2.0 */
/* Which D-Bus, and where it is: from the option and the environment. */
#pragma once

#include "busrtd/options.h"

/* DBUS_AUTO becomes one of the others: by systemd's marks in the environment, which count for the
 * process that it started alone. */
enum dbus_mode bus_address_choose(enum dbus_mode mode);
/* The address of the system's or the user's; the caller frees it. -ENOENT: the environment names
 * none for the user. -ENOMEM. */
int bus_address_find(enum dbus_mode mode, char **ret);
