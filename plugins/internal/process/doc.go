// Package process runs one plugin. It launches the binary with the handshake of
// hashicorp/go-plugin, holds the connection to the process, and ends the process.
// It is the only package that uses go-plugin, and only for the handshake: the
// choice of a protocol version and the one-time certificates. It avoids the rest
// of go-plugin for these reasons:
//
//   - go-plugin gets no line that the plugin wrote, except the handshake: an
//     unusual log line panics go-plugin's host, other output on stdout breaks the
//     handshake, and a long line there blocks the plugin. See [Spec.Log].
//   - Launches share no configuration: after a crash, go-plugin fails on a
//     configuration that was used before.
//   - The gRPC connection is made here, with the limits of [Spec.Dial].
//   - [Process.Stop] lets the plugin finish its calls. go-plugin cuts them off.
//   - [Process.Check] has a deadline.
//
// # A plugin's surroundings
//
// The plugin's environment is [Spec.Env] and the variables of the handshake,
// nothing else. The plugin has a process group of its own, which is killed as a
// whole after the plugin has ended. It has a socket folder of its own, with mode
// 0700 and a path that is short whatever TMPDIR is; the folder is removed. Its
// standard input is a pipe to which nothing is written. The pipe ends with the
// host, even if the host is killed before it has opened the Lifetime stream. On
// Linux the kernel kills a plugin whose host is gone, unless the plugin has changed
// its parent-death signal, as plugins that use [Serve] do.
package process
