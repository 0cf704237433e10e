/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the client reads from and writes to: a socket, or a stream of the program's own. Of a stream
 * there is one descriptor to poll, which is readable for both directions.
 */
#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "client/internal.h"

ssize_t client_read(busrt_client *c, void *to, size_t size)
{
        struct iovec iov = {to, size};

        return client_is_stream(c) ? c->stream.read(c->stream.userdata, to, size)
                                   : transport_readv(c->fd, &iov, 1);
}

static void advance(struct iovec **iov, size_t *n, size_t done)
{
        while (*n > 0 && done >= (*iov)->iov_len) {
                done -= (*iov)->iov_len;
                ++*iov;
                --*n;
        }
        if (*n > 0) {
                (*iov)->iov_base = (uint8_t *)(*iov)->iov_base + done;
                (*iov)->iov_len -= done;
        }
}

/* Until it says that it takes no more: only then it tells when it does again. */
static ssize_t stream_write(busrt_client *c, struct iovec *iov, size_t n)
{
        ssize_t done = 0;

        while (n > 0) {
                ssize_t r = c->stream.write(c->stream.userdata, iov, n);

                if (r <= 0)
                        return done > 0 ? done : r;
                done += r;
                advance(&iov, &n, (size_t)r);
        }
        return done;
}

ssize_t client_write(busrt_client *c, struct iovec *iov, size_t n)
{
        return client_is_stream(c) ? stream_write(c, iov, n) : transport_writev(c->fd, iov, n);
}

short client_poll_events(const busrt_client *c)
{
        if (c->connecting.pending)
                return POLLOUT;
        return (short)(POLLIN |
                       (output_unsent(&c->output) > 0 && !client_is_stream(c) ? POLLOUT : 0));
}

/* The end of a full inbox is not waited for with the descriptor readable, though something waits
 * for room: what is taken out of the inbox comes first. */
uint32_t client_loop_events(const busrt_client *c, bool is_full)
{
        uint32_t events = is_full ? 0 : (uint32_t)EPOLLIN;

        return client_is_stream(c) || !output_is_due(c) ? events : events | (uint32_t)EPOLLOUT;
}

bool client_may_write(const busrt_client *c, short revents)
{
        return revents & (client_is_stream(c) ? POLLIN : POLLOUT);
}

void client_close_fd(busrt_client *c)
{
        busrt_stream stream = c->stream;

        if (!client_is_stream(c)) {
                c->fd = close_fd(c->fd);
                return;
        }
        c->stream = (busrt_stream){0};
        c->fd = -1;
        stream.close(stream.userdata);
}

void client_shut_down(const busrt_client *c)
{
        if (c->fd >= 0 && !client_is_stream(c))
                (void)shutdown(c->fd, SHUT_RDWR);
}
