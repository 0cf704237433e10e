/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Text that grows, and what strangers wrote made fit for a terminal, for JSON, for a hex view.
 * Names, topics and payloads come from anybody on the bus: nothing of them may reach a terminal as
 * it is.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Starts zeroed. Where memory runs out, what is added from then on is dropped, and failed is set.
 */
struct text {
        char *data; /* no NUL behind it */
        size_t len;
        size_t size;
        bool failed;
};

void text_done(struct text *text);
/* Room for len more bytes, or NULL. The caller adds to text->len what it has written. */
char *text_room(struct text *text, size_t len);
void text_add(struct text *text, const void *data, size_t len);
void text_adds(struct text *text, const char *string);
void text_addf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Valid UTF-8 with nothing in it that moves the cursor or the direction of writing. */
bool text_is_plain(const void *data, size_t len);
/* Worth showing as text, by text_add_visible(): UTF-8 without controls but those of layout and
 * colours. */
bool text_is_readable(const void *data, size_t len);

/* On one line: what is plain stays, all else becomes \n, \t, \x1b …; then backslashes are doubled,
 * too. */
void text_add_visible(struct text *text, const void *data, size_t len);
/* A JSON string with its quotes. Bytes that are not UTF-8 become U+FFFD; controls and marks that
 * turn the direction of writing are escaped. */
void text_add_json(struct text *text, const void *data, size_t len);
void text_add_base64(struct text *text, const void *data, size_t len);
/* The bytes. False: it is not base64 with its padding; something may have been added. */
bool text_add_from_base64(struct text *text, const char *base64, size_t len);
/* Lines as xxd(1) writes them, 16 bytes each; prefix begins every line. */
void text_add_hex(struct text *text, const void *data, size_t len, const char *prefix);

/* As text_add_visible(), as a string to be freed. NULL: no memory. */
char *text_visible(const char *string);

#define TEXT_NUMBER_MAX 32
/* "64 MiB", "1.5 KiB", "100 B" */
const char *text_bytes(uint64_t n, char out[TEXT_NUMBER_MAX]);
/* "1,234,567" */
const char *text_count(uint64_t n, char out[TEXT_NUMBER_MAX]);
