// Package testbed starts real servers for tests and benchmarks: each in its
// own process, in its own temporary folder (see [FolderEnv]), on free loopback
// ports, so that a test can restart, kill and pause it without disturbing other
// tests.
//
// The functions that take a [testing.TB] (Redis, Sentinel, Cluster, Etcd,
// EtcdCluster, NATS, NATSCluster, Dapr, Rabbit, Proxy) stop the test when the
// server cannot be started, print the server's log when the test has failed, and
// clean up at its end. Each has a variant without testing (StartRedis,
// StartSentinel, …), whose result the caller must Close.
//
// The testbed uses the installed Redis and RabbitMQ. Etcd and NATS are one program,
// the module in the folder servers. It is built when it is first needed, and kept
// in the user's cache folder; see BuildServers. So is the Dapr runtime, with
// the few components that tests use: the module in the folder daprd.
//
// A server ends with the process that started it, even if that process is
// killed (on Linux). Then only the temporary folder remains.
//
// A server program that is not installed is an error that says how to get it,
// never a skipped test.
//
// To add another kind of server, add a file for it: reserve a port
// with reservePort, describe the command in a processSpec, and embed the
// Process that newProcess returns in the handle.
package testbed
