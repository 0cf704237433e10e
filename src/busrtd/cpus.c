/* SPDX-License-Identifier: Apache-2.0 */
#include <bsd/string.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "busrtd/cpus.h"

#define CPU_FOLDER "/sys/devices/system/cpu/"

/* One number of a list, behind which *text goes on. */
static int parse_number(const char **text, size_t *ret)
{
        char *end;
        unsigned long n;

        if (**text < '0' || **text > '9')
                return -EINVAL;
        errno = 0;
        n = strtoul(*text, &end, 10);
        if (errno || n >= CPU_SETSIZE)
                return -EINVAL;
        *text = end;
        *ret = n;
        return 0;
}

int cpus_parse(const char *text, cpu_set_t *ret)
{
        cpu_set_t cpus;

        CPU_ZERO(&cpus);
        while (*text && *text != '\n') {
                size_t first, last;

                if (parse_number(&text, &first) < 0)
                        return -EINVAL;
                last = first;
                if (*text == '-' && (text++, parse_number(&text, &last) < 0))
                        return -EINVAL;
                if (last < first || (*text && !strchr(",\n", *text)))
                        return -EINVAL;
                for (size_t i = first; i <= last; i++)
                        CPU_SET(i, &cpus);
                text += *text == ',';
        }
        *ret = cpus;
        return 0;
}

const char *cpus_format(const cpu_set_t *cpus, char *out, size_t size)
{
        out[0] = '\0';
        for (size_t i = 0; i < CPU_SETSIZE; i++) {
                size_t first = i;
                char part[32];

                if (!CPU_ISSET(i, cpus))
                        continue;
                while (i + 1 < CPU_SETSIZE && CPU_ISSET(i + 1, cpus))
                        i++;
                (void)snprintf(part, sizeof(part), i > first ? "%s%zu-%zu" : "%s%zu",
                               out[0] ? "," : "", first, i);
                (void)strlcat(out, part, size);
        }
        return out;
}

static int read_list(const char *path, cpu_set_t *ret)
{
        FILE *f = fopen(path, "re");
        char text[4096];
        size_t n;

        if (!f)
                return -errno;
        n = fread(text, 1, sizeof(text) - 1, f);
        fclose(f);
        text[n] = '\0';
        return cpus_parse(text, ret);
}

void cpus_shared(cpu_set_t *ret)
{
        cpu_set_t isolated;

        if (read_list(CPU_FOLDER "online", ret) < 0) {
                CPU_ZERO(ret);
                for (long i = 0; i < sysconf(_SC_NPROCESSORS_ONLN); i++)
                        CPU_SET((size_t)i, ret);
        }
        if (read_list(CPU_FOLDER "isolated", &isolated) < 0)
                return;
        for (size_t i = 0; i < CPU_SETSIZE; i++)
                if (CPU_ISSET(i, &isolated))
                        CPU_CLR(i, ret);
}

bool cpus_are_own(const cpu_set_t *cpus, const cpu_set_t *shared, size_t n)
{
        cpu_set_t both;

        CPU_AND(&both, cpus, shared);
        return !CPU_EQUAL(&both, shared) && (size_t)CPU_COUNT(cpus) >= n;
}
