// SPDX-License-Identifier: GPL-2.0
/*
 * DOC: bytes between the guest's console and standard input and output
 */
#include "stream.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* A byte waits this long for others to be written along: serial ports send them singly. */
#define GATHER_USEC 5000

/* Standard output may be in non-blocking mode. */
static int write_all(const uint8_t *bytes, size_t size)
{
	struct pollfd fd = { .fd = STDOUT_FILENO, .events = POLLOUT };

	while (size) {
		ssize_t written = write(STDOUT_FILENO, bytes, size);

		if (written < 0 && errno == EAGAIN)
			poll(&fd, 1, -1);
		else if (written < 0 && errno != EINTR)
			return -errno;
		if (written > 0) {
			bytes += written;
			size -= written;
		}
	}
	return 0;
}

/* The first reason counts. The guest ends, and nobody waits for the thread any more. */
static void give_up(struct vmlet_output *output, int error)
{
	pthread_mutex_lock(&output->lock);
	if (!output->error) {
		output->error = error;
		eventfd_write(output->end_fd, 1);
	}
	pthread_cond_broadcast(&output->changed);
	pthread_mutex_unlock(&output->lock);
}

/* Take what there is; false when there will be no more. */
static bool collect(struct vmlet_output *output, uint8_t *bytes, size_t *size)
{
	pthread_mutex_lock(&output->lock);
	while (!output->count && !output->finishing && !output->error)
		pthread_cond_wait(&output->changed, &output->lock);
	if (output->count < VMLET_OUTPUT_SIZE && !output->finishing && !output->error) {
		pthread_mutex_unlock(&output->lock);
		usleep(GATHER_USEC);
		pthread_mutex_lock(&output->lock);
	}
	*size = output->error ? 0 : output->count;
	memcpy(bytes, output->bytes, *size);
	output->count = 0;
	output->finished = !*size;
	pthread_cond_broadcast(&output->changed);
	pthread_mutex_unlock(&output->lock);
	return *size;
}

static void *write_output(void *argument)
{
	struct vmlet_output *output = argument;
	uint8_t bytes[VMLET_OUTPUT_SIZE];
	size_t size;

	while (collect(output, bytes, &size)) {
		int error = write_all(bytes, size);

		if (error)
			give_up(output, error);
	}
	return NULL;
}

int vmlet_output_start(struct vmlet_output *output, int end_fd)
{
	pthread_t thread;
	int ret;

	*output = (struct vmlet_output){
		.end_fd = end_fd,
		.lock = PTHREAD_MUTEX_INITIALIZER,
		.changed = PTHREAD_COND_INITIALIZER,
	};
	ret = pthread_create(&thread, NULL, write_output, output);
	if (!ret)
		pthread_detach(thread);
	return -ret;
}

void vmlet_output_put(struct vmlet_output *output, const void *bytes, size_t size)
{
	pthread_mutex_lock(&output->lock);
	while (size && !output->error) {
		size_t room = VMLET_OUTPUT_SIZE - output->count;
		size_t piece = size < room ? size : room;

		if (!room) {
			pthread_cond_wait(&output->changed, &output->lock);
			continue;
		}
		memcpy(output->bytes + output->count, bytes, piece);
		if (!output->count)
			pthread_cond_broadcast(&output->changed);
		output->count += piece;
		bytes = (const char *)bytes + piece;
		size -= piece;
	}
	pthread_mutex_unlock(&output->lock);
}

void vmlet_output_give_up(struct vmlet_output *output)
{
	give_up(output, -ECANCELED);
}

int vmlet_output_finish(struct vmlet_output *output)
{
	pthread_mutex_lock(&output->lock);
	output->finishing = true;
	pthread_cond_broadcast(&output->changed);
	while (!output->finished && !output->error)
		pthread_cond_wait(&output->changed, &output->lock);
	pthread_mutex_unlock(&output->lock);
	return output->error;
}

size_t vmlet_input_room(struct vmlet_input *input)
{
	size_t room;

	pthread_mutex_lock(&input->lock);
	room = VMLET_INPUT_SIZE - input->count;
	pthread_mutex_unlock(&input->lock);
	return room;
}

void vmlet_input_put(struct vmlet_input *input, const void *bytes, size_t size)
{
	pthread_mutex_lock(&input->lock);
	for (size_t i = 0; i < size && input->count < VMLET_INPUT_SIZE; i++)
		input->bytes[(input->head + input->count++) % VMLET_INPUT_SIZE] =
			((const uint8_t *)bytes)[i];
	pthread_mutex_unlock(&input->lock);
	eventfd_write(input->ready_fd, 1);
}

size_t vmlet_input_take(struct vmlet_input *input, void *bytes, size_t size)
{
	size_t taken = 0;

	pthread_mutex_lock(&input->lock);
	while (taken < size && input->count) {
		((uint8_t *)bytes)[taken++] = input->bytes[input->head];
		input->head = (input->head + 1) % VMLET_INPUT_SIZE;
		input->count--;
	}
	pthread_mutex_unlock(&input->lock);
	if (taken)
		eventfd_write(input->room_fd, 1);
	return taken;
}
