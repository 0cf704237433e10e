/* SPDX-License-Identifier: Apache-2.0 */
/* Reads and writes of a worker: one system call each, never waiting, whatever mode the fd is in. */
#include <limits.h>
#include <sys/socket.h>

#include "basic/macro.h"
#include "transport/transport.h"

ssize_t transport_readv(int fd, struct iovec *iov, size_t n)
{
        struct msghdr message = {.msg_iov = iov, .msg_iovlen = MIN(n, (size_t)IOV_MAX)};
        ssize_t r;

        do
                r = recvmsg(fd, &message, MSG_DONTWAIT);
        while (r < 0 && errno == EINTR);
        return r < 0 ? -errno : r;
}

ssize_t transport_writev(int fd, struct iovec *iov, size_t n)
{
        struct msghdr message = {.msg_iov = iov, .msg_iovlen = MIN(n, (size_t)IOV_MAX)};
        ssize_t r;

        do
                r = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        while (r < 0 && errno == EINTR);
        return r < 0 ? -errno : r;
}
