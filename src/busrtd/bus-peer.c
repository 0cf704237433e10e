/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <systemd/sd-bus.h>

#include "basic/clock.h"
#include "basic/macro.h"
#include "busrtd/bus-peer.h"

#define PATIENCE (5 * NSEC_PER_SEC)

int bus_peer_watch(sd_bus *bus, const char *name, sd_bus_message_handler_t gone,
                   sd_bus_message_handler_t watched, void *userdata, sd_bus_slot **ret)
{
        char match[512];
        int n = snprintf(match, sizeof(match),
                         "type='signal',sender='org.freedesktop.DBus',"
                         "path='/org/freedesktop/DBus',interface='org.freedesktop.DBus',"
                         "member='NameOwnerChanged',arg0='%s',arg2=''",
                         name);

        if ((size_t)n >= sizeof(match))
                return -EINVAL;
        /* Without `watched`, libsystemd would end the connection where D-Bus says no. */
        return sd_bus_add_match_async(bus, ret, match, gone, watched, userdata);
}

int bus_peer_ask_credentials(sd_bus *bus, const char *name, sd_bus_message_handler_t answer,
                             void *userdata, sd_bus_slot **ret)
{
        _cleanup_(sd_bus_message_unrefp) sd_bus_message *m = NULL;
        int r = sd_bus_message_new_method_call(bus, &m, "org.freedesktop.DBus",
                                               "/org/freedesktop/DBus", "org.freedesktop.DBus",
                                               "GetConnectionCredentials");

        if (r >= 0)
                r = sd_bus_message_append(m, "s", name);
        if (r >= 0)
                r = sd_bus_call_async(bus, ret, m, answer, userdata, PATIENCE / NSEC_PER_USEC);
        return r < 0 ? r : 0;
}

/* One entry of the dictionary: a number that is wanted, or something else. */
static int read_credential(sd_bus_message *m, uint32_t *uid, uint32_t *pid, bool *has_uid)
{
        const char *key;
        int r = sd_bus_message_read(m, "s", &key);

        if (r < 0)
                return r;
        if (strcmp(key, "UnixUserID") == 0) {
                *has_uid = true;
                return sd_bus_message_read(m, "v", "u", uid);
        }
        if (strcmp(key, "ProcessID") == 0)
                return sd_bus_message_read(m, "v", "u", pid);
        return sd_bus_message_skip(m, "v");
}

int bus_peer_read_credentials(sd_bus_message *answer, uid_t *ret_uid, pid_t *ret_pid)
{
        uint32_t uid = 0, pid = 0;
        bool has_uid = false;
        int r;

        if (sd_bus_message_is_method_error(answer, NULL))
                return -sd_bus_message_get_errno(answer);
        r = sd_bus_message_enter_container(answer, SD_BUS_TYPE_ARRAY, "{sv}");
        if (r < 0)
                return r;
        while ((r = sd_bus_message_enter_container(answer, SD_BUS_TYPE_DICT_ENTRY, "sv")) > 0) {
                r = read_credential(answer, &uid, &pid, &has_uid);
                if (r >= 0)
                        r = sd_bus_message_exit_container(answer);
                if (r < 0)
                        break;
        }
        if (r < 0)
                return r;
        if (!has_uid)
                return -ENODATA;
        *ret_uid = uid;
        *ret_pid = (pid_t)pid;
        return 0;
}
