/* SPDX-License-Identifier: Apache-2.0 */
#include "basic/macro.h"
#include "busrtctl/admin-fields.h"

#define CLIENT(field) offsetof(struct admin_client, field)
static const struct admin_field client_fields[] = {
        {"Id", "id", 't', false, CLIENT(id)},
        {"Name", "name", 's', false, CLIENT(name)},
        {"Kind", "kind", 's', false, CLIENT(kind)},
        {"Listener", "port", 's', false, CLIENT(listener)},
        {"Primary", "primary", 's', false, CLIENT(primary)},
        {"User", "uid", 'u', false, CLIENT(uid)},
        {"Group", "gid", 'u', false, CLIENT(gid)},
        {"ProcessID", "pid", 'u', false, CLIENT(pid)},
        {"ConnectedTimestamp", "connected", 't', true, CLIENT(connected)},
        {"FramesIn", "r_frames", 't', false, CLIENT(in_frames)},
        {"BytesIn", "r_bytes", 't', false, CLIENT(in_bytes)},
        {"FramesOut", "w_frames", 't', false, CLIENT(out_frames)},
        {"BytesOut", "w_bytes", 't', false, CLIENT(out_bytes)},
        {"FramesDropped", "dropped", 't', false, CLIENT(dropped)},
        {"QueueFrames", "queue", 't', false, CLIENT(queue_frames)},
        {"QueueBytes", "queue_bytes", 't', false, CLIENT(queue_bytes)},
        {"QueueFramesMax", "queue_max", 't', false, CLIENT(queue_frames_max)},
        {"QueueBytesMax", "queue_bytes_max", 't', false, CLIENT(queue_bytes_max)},
        {"PacedUSec", "paced", 't', true, CLIENT(paced)},
        {NULL, "instances", 't', false, CLIENT(instances)},
};

#define STATUS(field) offsetof(struct admin_status, field)
static const struct admin_field status_fields[] = {
        {"Version", "version", 's', false, STATUS(version)},
        {NULL, "pid", 'u', false, STATUS(pid)},
        {"StartTimestamp", "started", 't', true, STATUS(started)},
        {"UptimeUSec", "uptime", 't', true, STATUS(uptime)},
        {"FramesIn", "r_frames", 't', false, STATUS(in_frames)},
        {"BytesIn", "r_bytes", 't', false, STATUS(in_bytes)},
        {"FramesOut", "w_frames", 't', false, STATUS(out_frames)},
        {"BytesOut", "w_bytes", 't', false, STATUS(out_bytes)},
        {"FramesDropped", "dropped", 't', false, STATUS(dropped)},
        {"ReceiversStruck", "struck", 't', false, STATUS(struck)},
        {"Refused", "refused", 't', false, STATUS(refused)},
        {"Denied", "denied", 't', false, STATUS(denied)},
        {"BadFrames", "bad_frames", 't', false, STATUS(bad_frames)},
        {"NConnections", "connections", 't', false, STATUS(n_connections)},
        {"NClients", "clients", 't', false, STATUS(n_clients)},
        {"MemoryHeld", "held", 't', false, STATUS(held)},
        {"MaxFiles", "max_files", 't', false, STATUS(max_files)},
        {NULL, "log_level", 's', false, STATUS(log_level)},
        {"NAccessRules", "access_rules", 't', false, STATUS(n_access_rules)},
};

#define QUOTA(field) offsetof(struct admin_quota, field)
#define USE(key, field)                                                                            \
        {NULL, key, 't', false, QUOTA(field.used)},                                                \
                {NULL, key "_max", 't', false, QUOTA(field.max)},                                  \
        {                                                                                          \
                NULL, key "_refused", 't', false, QUOTA(field.refused)                             \
        }
static const struct admin_field quota_fields[] = {
        {NULL, "identity", 's', false, QUOTA(identity)},
        {NULL, "uid", 'u', false, QUOTA(uid)},
        USE("connections", connections),
        USE("names", names),
        USE("subscriptions", subscriptions),
        USE("held", held),
        USE("handshakes", handshakes),
        {NULL, "rate_max", 't', false, QUOTA(rate.max)},
        {NULL, "rate_refused", 't', false, QUOTA(rate.refused)},
};

const struct admin_fields admin_client_fields = {client_fields, ARRAY_SIZE(client_fields)};
const struct admin_fields admin_status_fields = {status_fields, ARRAY_SIZE(status_fields)};
const struct admin_fields admin_quota_fields = {quota_fields, ARRAY_SIZE(quota_fields)};

static void clear_texts(const struct admin_fields *fields, void *structure)
{
        for (size_t i = 0; i < fields->n; i++)
                if (fields->fields[i].type == 's')
                        *(const char **)admin_field_in(structure, &fields->fields[i]) = "";
}

void admin_client_init(struct admin_client *client)
{
        *client = (struct admin_client){.uid = ADMIN_NO_ID, .gid = ADMIN_NO_ID, .instances = 1};
        clear_texts(&admin_client_fields, client);
}

void admin_details_init(struct admin_client_details *details)
{
        static const char *none[] = {NULL};

        *details = (struct admin_client_details){
                .unit = "",
                .address = "",
                .secondaries = none,
                .subscriptions = none,
                .exclusions = none,
        };
        admin_client_init(&details->client);
}

void admin_status_init(struct admin_status *status)
{
        *status = (struct admin_status){0};
        clear_texts(&admin_status_fields, status);
}

void admin_quota_init(struct admin_quota *quota)
{
        const struct admin_use none = {.max = ADMIN_NO_LIMIT};

        *quota = (struct admin_quota){.uid = ADMIN_NO_ID,
                                      .connections = none,
                                      .names = none,
                                      .subscriptions = none,
                                      .held = none,
                                      .handshakes = none,
                                      .rate = none};
        clear_texts(&admin_quota_fields, quota);
}
