/* SPDX-License-Identifier: Apache-2.0 */
/* What the program may choose of a client; most of it before connecting. */
#include "client/internal.h"

#define PAUSE_MAX (3600 * USEC_PER_SEC)

/* Locks, for a setting that is fixed once the client connects. */
static int lock_new(busrt_client *c, bool valid)
{
        int r = client_lock(c);

        if (r < 0)
                return r;
        if (!valid)
                return client_unlock(c, -EINVAL);
        return c->state == BUSRT_STATE_NEW ? 0 : client_unlock(c, -EBUSY);
}

PUBLIC int busrt_client_set_timeout(busrt_client *client, uint64_t usec)
{
        int r = client_lock(client);

        if (r < 0)
                return r;
        if (usec < 1000 || usec == BUSRT_TIMEOUT_DEFAULT)
                return client_unlock(client, -EINVAL);
        client->timeout = usec;
        return client_unlock(client, 0);
}

PUBLIC int busrt_client_set_ping_interval(busrt_client *client, uint64_t usec)
{
        int r = lock_new(client, usec == 0 || usec >= 1000);

        if (r < 0)
                return r;
        client->ping_interval = usec;
        return client_unlock(client, 0);
}

PUBLIC int busrt_client_set_busy_poll(busrt_client *client, uint64_t usec)
{
        int r = client_lock(client);

        if (r < 0)
                return r;
        if (usec > USEC_PER_SEC)
                return client_unlock(client, -EINVAL);
        client->busy_poll = usec;
        return client_unlock(client, 0);
}

PUBLIC int busrt_client_set_send_buffer(busrt_client *client, size_t bytes)
{
        int r = lock_new(client, bytes >= 4096);

        if (r < 0)
                return r;
        client->send_buffer = bytes;
        return client_unlock(client, 0);
}

PUBLIC int busrt_client_set_receive_buffer(busrt_client *client, size_t bytes)
{
        int r = lock_new(client, bytes >= 4096);

        if (r < 0)
                return r;
        client->receive_buffer = bytes;
        return client_unlock(client, 0);
}

PUBLIC int busrt_client_set_max_frame_size(busrt_client *client, size_t bytes)
{
        int r = lock_new(client, bytes >= 1024 && bytes <= UINT32_MAX);

        if (r < 0)
                return r;
        client->max_frame = bytes;
        return client_unlock(client, 0);
}

PUBLIC int busrt_client_set_reconnect(busrt_client *client, uint64_t limit)
{
        int r = lock_new(client, limit != BUSRT_TIMEOUT_DEFAULT && (limit == 0 || limit >= 1000));

        if (r < 0)
                return r;
        client->reconnect.limit = limit;
        return client_unlock(client, 0);
}

PUBLIC int busrt_client_set_reconnect_pause(busrt_client *client, uint64_t first, uint64_t longest)
{
        int r = lock_new(client, first >= 1000 && first <= longest && longest <= PAUSE_MAX);

        if (r < 0)
                return r;
        client->reconnect.first_pause = first;
        client->reconnect.longest_pause = longest;
        return client_unlock(client, 0);
}

PUBLIC int busrt_client_set_offline_buffer(busrt_client *client, size_t bytes)
{
        int r = lock_new(client, bytes == 0 || bytes >= 4096);

        if (r < 0)
                return r;
        client->offline_buffer = bytes;
        return client_unlock(client, 0);
}

PUBLIC int busrt_client_set_log_handler(busrt_client *client, busrt_log_handler handler,
                                        void *userdata)
{
        int r = lock_new(client, true);

        if (r < 0)
                return r;
        client->on_log = handler;
        client->on_log_data = userdata;
        return client_unlock(client, 0);
}
