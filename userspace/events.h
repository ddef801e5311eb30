/* SPDX-License-Identifier: GPL-2.0 */
/*
 * DOC: what happens outside the guest: time, keys, signals
 *
 * One thread waits for all of it and kicks the vCPU thread, wherever that is: in the
 * guest, about to enter it, or asleep because the guest has halted. No kick is lost:
 *
 *   events thread                 vCPU thread
 *   note what has happened        vmlet_events_begin(): immediate_exit = 0
 *   immediate_exit = 1            look at what has happened
 *   signal                        KVM_RUN: returns at once if immediate_exit
 *
 * Whatever is noted after the vCPU thread has looked finds immediate_exit set behind it.
 */
#ifndef VMLET_EVENTS_H
#define VMLET_EVENTS_H

#include <linux/kvm.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define VMLET_INPUT_SIZE 4096

/* Value of vmlet_events.stop when the user has quit; otherwise it is a signal's number. */
#define VMLET_STOP_QUIT (-1)

/**
 * struct vmlet_events - the thread and what it shares
 * @run: run page of the vCPU
 * @thread: the thread that waits
 * @vcpu_thread: the thread to kick
 * @timer_fd: expires at @armed
 * @signal_fd: signals that end the program
 * @wake_fd: tells the thread that there is room for input again, or to end
 * @input_open: standard input may still have something; events thread only
 * @ending: the thread must end
 * @stop: why the guest must end, 0 while it need not
 * @armed: deadline that @timer_fd is set to; vCPU thread only
 * @lock: protects the fields that follow
 * @kick: signalled when @kicked becomes true
 * @kicked: something has happened since vmlet_events_begin()
 * @input: bytes typed, a ring
 * @input_head: index of the oldest byte
 * @input_count: how many there are; may be read without @lock
 */
struct vmlet_events {
	struct kvm_run *run;
	pthread_t thread;
	pthread_t vcpu_thread;
	int timer_fd;
	int signal_fd;
	int wake_fd;
	bool input_open;
	atomic_bool ending;
	atomic_int stop;
	uint64_t armed;
	pthread_mutex_t lock;
	pthread_cond_t kick;
	bool kicked;
	uint8_t input[VMLET_INPUT_SIZE];
	unsigned int input_head;
	atomic_uint input_count;
};

/**
 * vmlet_events_start() - start the thread
 * @events: filled in
 * @run: run page of the vCPU that the calling thread will run
 *
 * From now on the signals that would end the program end the guest.
 *
 * Return: 0 or a negative errno.
 */
int vmlet_events_start(struct vmlet_events *events, struct kvm_run *run);

/**
 * vmlet_events_end() - end the thread and forget everything
 * @events: started
 */
void vmlet_events_end(struct vmlet_events *events);

/**
 * vmlet_events_begin() - from here on, a new event keeps KVM_RUN from running
 * @events: started
 *
 * Return: true if something has happened since the last time; then the time must
 * be read again, for it may have been the alarm.
 */
bool vmlet_events_begin(struct vmlet_events *events);

/**
 * vmlet_events_wait() - sleep until something happens after vmlet_events_begin()
 * @events: started
 */
void vmlet_events_wait(struct vmlet_events *events);

/**
 * vmlet_events_alarm() - set the time of the next kick
 * @events: started
 * @deadline: time, or VMLET_NEVER; replaces the previous one
 */
void vmlet_events_alarm(struct vmlet_events *events, uint64_t deadline);

/**
 * vmlet_events_input() - take a byte that was typed
 * @events: started
 * @byte: filled in
 *
 * Return: false if there is none.
 */
bool vmlet_events_input(struct vmlet_events *events, uint8_t *byte);

#endif
