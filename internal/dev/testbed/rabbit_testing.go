package testbed

import "testing"

// Rabbit starts a RabbitMQ broker for a test, which ends with it. See
// StartRabbit.
func Rabbit(tb testing.TB, opts ...RabbitOption) *RabbitServer {
	tb.Helper()
	s, err := StartRabbit(tb.Context(), opts...)
	return started(tb, s, err)
}
