package kv_test

import "testing"

// BenchmarkGetMissing measures a read of a key that does not exist. The text of its
// error is only built when somebody reads it.
func BenchmarkGetMissing(b *testing.B) {
	s := open(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Get(b.Context(), "missing"); err == nil {
			b.Fatal("the key exists")
		}
	}
}
