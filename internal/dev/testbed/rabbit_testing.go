package testbed

import "testing"

// Rabbit starts a RabbitMQ broker that stops at the end of the test. See
// StartRabbit.
func Rabbit(tb testing.TB, opts ...RabbitOption) *RabbitServer {
	tb.Helper()
	s, err := StartRabbit(tb.Context(), opts...)
	return started(tb, s, err)
}
