/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Stands in for libFuzzer where its corpora are only run through once: feeds every file of the
 * folders named to the fuzzer that it is linked with. A folder that cannot be read, or that holds
 * nothing, is a failure.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "basic/macro.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void closefp(FILE **f)
{
        if (*f)
                fclose(*f);
}

/* In a block of just its size, so that a sanitizer sees a read beyond it. */
static int replay_file(const char *path)
{
        _cleanup_(closefp) FILE *f = fopen(path, "rbe");
        _cleanup_free_ uint8_t *data = NULL;
        struct stat st;

        if (!f || fstat(fileno(f), &st) < 0)
                return -errno;
        data = malloc(st.st_size > 0 ? (size_t)st.st_size : 1);
        if (!data)
                return -ENOMEM;
        if (fread(data, 1, (size_t)st.st_size, f) != (size_t)st.st_size)
                return -EIO;
        printf("%s\n", path);
        fflush(stdout);
        (void)LLVMFuzzerTestOneInput(data, (size_t)st.st_size);
        return 0;
}

static int no_dot_files(const struct dirent *entry)
{
        return entry->d_name[0] != '.';
}

/* Returns how many files there were. */
static int replay_folder(const char *folder)
{
        struct dirent **entries;
        int n = scandir(folder, &entries, no_dot_files, alphasort), r = n < 0 ? -errno : n;

        for (int i = 0; i < n; i++) {
                _cleanup_free_ char *path = NULL;
                int failed = asprintf(&path, "%s/%s", folder, entries[i]->d_name) < 0 ? -ENOMEM : 0;

                if (!failed)
                        failed = replay_file(path);
                if (failed)
                        r = failed;
                free(entries[i]);
        }
        if (n >= 0)
                free(entries);
        return r;
}

int main(int argc, char **argv)
{
        int status = argc > 1 ? EXIT_SUCCESS : EXIT_FAILURE;

        for (int i = 1; i < argc; i++) {
                int r = replay_folder(argv[i]);

                if (r > 0) {
                        printf("%s: %d files\n", argv[i], r);
                        continue;
                }
                fprintf(stderr, "%s: %s\n", argv[i],
                        r < 0 ? strerror(-r) : "nothing there to replay");
                status = EXIT_FAILURE;
        }
        return status;
}
