/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who is on the other side of D-Bus, asked without waiting for the answer. What libsystemd offers
 * for it (sd_bus_track, sd_bus_query_sender_creds and _privilege) waits for the D-Bus daemon, and
 * would hold up the main thread with it for 25 s.
 */
#pragma once

#include <systemd/sd-bus.h>

/* gone is called when the unique name vanishes, until the slot is freed. watched is called once,
 * with the answer of D-Bus, which may be an error: then nobody is watched. Somebody who went before
 * is found out by asking for the name afterwards. 0 or -errno. */
int bus_peer_watch(sd_bus *bus, const char *name, sd_bus_message_handler_t gone,
                   sd_bus_message_handler_t watched, void *userdata, sd_bus_slot **ret);

/* Asks which user and process the unique name belongs to. answer reads it by
 * bus_peer_read_credentials(). Given up after 5 s. 0 or -errno. */
int bus_peer_ask_credentials(sd_bus *bus, const char *name, sd_bus_message_handler_t answer,
                             void *userdata, sd_bus_slot **ret);
/* pid is 0 where it is not known. -errno: there is nobody of that name, or nothing is known. */
int bus_peer_read_credentials(sd_bus_message *answer, uid_t *ret_uid, pid_t *ret_pid);
