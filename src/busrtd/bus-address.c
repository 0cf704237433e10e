/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "basic/macro.h"
#include "busrtd/bus-address.h"

#define SYSTEM_ADDRESS "unix:path=/run/dbus/system_bus_socket"

/* systemd(1) says so to those that it starts itself, by their process id. */
static bool is_started_by_systemd(void)
{
        const char *pid = getenv("SYSTEMD_EXEC_PID");
        char own[16];

        (void)snprintf(own, sizeof(own), "%d", (int)getpid());
        return pid && strcmp(pid, own) == 0;
}

enum dbus_mode bus_address_choose(enum dbus_mode mode)
{
        if (mode != DBUS_AUTO)
                return mode;
        if (!is_started_by_systemd())
                return DBUS_OFF;
        /* Set by managers of users alone. */
        return getenv("MANAGERPID") ? DBUS_USER : DBUS_SYSTEM;
}

/* As the D-Bus specification wants values of addresses to be written. */
static char *escape(const char *text)
{
        char *out = malloc(3 * strlen(text) + 1), *at = out;

        if (!out)
                return NULL;
        for (const unsigned char *p = (const unsigned char *)text; *p; p++)
                if ((*p >= '0' && *p <= '9') || (*p >= 'A' && *p <= 'Z') ||
                    (*p >= 'a' && *p <= 'z') || strchr("-_/.", *p))
                        *at++ = (char)*p;
                else
                        at += sprintf(at, "%%%02x", *p);
        *at = '\0';
        return out;
}

static int copy(const char *address, char **ret)
{
        char *text = strdup(address);

        if (!text)
                return -ENOMEM;
        *ret = text;
        return 0;
}

static int find_user(char **ret)
{
        const char *address = getenv("DBUS_SESSION_BUS_ADDRESS"), *dir = getenv("XDG_RUNTIME_DIR");
        _cleanup_free_ char *escaped = NULL;
        char *text;

        if (address)
                return copy(address, ret);
        if (!dir)
                return -ENOENT;
        escaped = escape(dir);
        if (!escaped || asprintf(&text, "unix:path=%s/bus", escaped) < 0)
                return -ENOMEM;
        *ret = text;
        return 0;
}

int bus_address_find(enum dbus_mode mode, char **ret)
{
        const char *address = getenv("DBUS_SYSTEM_BUS_ADDRESS");

        if (mode == DBUS_USER)
                return find_user(ret);
        return copy(address ? address : SYSTEM_ADDRESS, ret);
}
