/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: bytes between the guest's console and standard input and output
 *
 * Several threads of the runner may add output; a thread of its own writes it, so that a
 * slow reader stops only who has more to say than fits.
 */
#ifndef VMLET_STREAM_H
#define VMLET_STREAM_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define VMLET_OUTPUT_SIZE 4096
#define VMLET_INPUT_SIZE 4096

/**
 * struct vmlet_output - bytes on their way to standard output
 * @end_fd: written to when nothing will be written any more
 * @lock: protects what follows
 * @changed: signalled when any of it changes
 * @bytes: what has been collected
 * @count: how many
 * @finishing: nothing will be added any more
 * @finished: everything has been written
 * @error: negative errno that writing has met, -ECANCELED if it was given up, 0 for
 *	neither; if not 0, everything is dropped
 */
struct vmlet_output {
	int end_fd;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	uint8_t bytes[VMLET_OUTPUT_SIZE];
	size_t count;
	bool finishing;
	bool finished;
	int error;
};

/**
 * vmlet_output_start() - start the thread
 * @output: filled in; must stay where it is until the program ends, because a thread that
 *	is stuck in write(2) to a terminal that nobody reads is left to itself
 * @end_fd: an eventfd that is written to when writing fails
 *
 * Return: 0 or a negative errno.
 */
int vmlet_output_start(struct vmlet_output *output, int end_fd);

/**
 * vmlet_output_put() - add bytes; waits while there is no room, but not after an error
 * @output: started
 * @bytes: what to write
 * @size: how many
 */
void vmlet_output_put(struct vmlet_output *output, const void *bytes, size_t size);

/**
 * vmlet_output_give_up() - do not wait for the reader any more
 * @output: started
 */
void vmlet_output_give_up(struct vmlet_output *output);

/**
 * vmlet_output_finish() - write what is left
 * @output: started, finished or not
 *
 * Return: 0 or the negative errno that writing has met, -ECANCELED if it was given up.
 */
int vmlet_output_finish(struct vmlet_output *output);

/**
 * struct vmlet_input - bytes typed, until the guest takes them
 * @ready_fd: an eventfd that is written to when bytes arrive
 * @room_fd: an eventfd that is written to when bytes have been taken
 * @lock: protects what follows
 * @bytes: a ring
 * @head: index of the oldest byte
 * @count: how many there are
 */
struct vmlet_input {
	int ready_fd;
	int room_fd;
	pthread_mutex_t lock;
	uint8_t bytes[VMLET_INPUT_SIZE];
	size_t head;
	size_t count;
};

/**
 * vmlet_input_room() - how many bytes vmlet_input_put() will take
 * @input: the ring
 *
 * Return: their number.
 */
size_t vmlet_input_room(struct vmlet_input *input);

/**
 * vmlet_input_put() - bytes have been typed
 * @input: the ring
 * @bytes: what was typed
 * @size: how many; those that find no room are lost
 */
void vmlet_input_put(struct vmlet_input *input, const void *bytes, size_t size);

/**
 * vmlet_input_take() - the guest takes bytes
 * @input: the ring
 * @bytes: filled in
 * @size: how many it wants
 *
 * Return: how many it gets.
 */
size_t vmlet_input_take(struct vmlet_input *input, void *bytes, size_t size);

#endif
