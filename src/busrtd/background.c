/* SPDX-License-Identifier: Apache-2.0 */
/* A pipe tells: a byte means ready, its end without one that the child has ended. */
#include <fcntl.h>
#include <sys/wait.h>

#include "basic/macro.h"
#include "busrtd/background.h"

static int wait_for_child(int fd, pid_t child)
{
        ssize_t n;
        int status;
        char byte;

        do
                n = read(fd, &byte, 1);
        while (n < 0 && errno == EINTR);
        if (n == 1)
                return 0;
        while (waitpid(child, &status, 0) < 0)
                if (errno != EINTR)
                        return EXIT_FAILURE;
        return WIFEXITED(status) && WEXITSTATUS(status) != 0 ? WEXITSTATUS(status) : EXIT_FAILURE;
}

int background_start(int *ret_ready_fd, int *ret_status)
{
        _cleanup_close_ int in = -1, out = -1;
        int fds[2];
        pid_t pid;

        if (pipe2(fds, O_CLOEXEC) < 0)
                return -errno;
        in = fds[0];
        out = fds[1];
        pid = fork();
        if (pid < 0)
                return -errno;
        if (pid > 0) {
                out = close_fd(out);
                *ret_status = wait_for_child(in, pid);
                return 1;
        }
        (void)setsid();
        *ret_ready_fd = TAKE_FD(out);
        return 0;
}

void background_ready(int ready_fd)
{
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        for (int fd = 0; null >= 0 && fd < 3; fd++)
                (void)dup2(null, fd);
        if (null > 2)
                close_fd(null);
        (void)!write(ready_fd, "", 1);
        close_fd(ready_fd);
}
