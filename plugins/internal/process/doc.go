// Package process runs one plugin: it launches the binary through
// hashicorp/go-plugin's handshake, holds the connection to it, and ends it. It
// is the only package that knows go-plugin, and it takes no more of it than
// the handshake: the choice of a protocol version and the one-time
// certificates. What go-plugin gets wrong stays outside:
//
//   - It never sees a line that the plugin wrote, except the handshake: an
//     unusual log line panics its host, noise on stdout breaks the handshake,
//     and a long line there blocks the plugin. See [Spec.Log].
//   - A launch uses nothing that an earlier one used: after a crash, go-plugin
//     fails on a configuration that it knows already.
//   - The gRPC connection is made here, with the limits of [Spec.Dial].
//   - [Process.Stop] lets the plugin finish what it does. go-plugin cuts it off.
//   - [Process.Check] has a deadline.
//
// # A plugin's surroundings
//
// The plugin gets the environment [Spec.Env] and the variables of the
// handshake, and nothing else. It has a process group of its own, which is
// killed as a whole when the plugin has ended, and a socket folder of its own
// (mode 0700, a short path whatever TMPDIR says), which is removed. Its
// standard input is a pipe that nothing is written to and that ends with the
// host, even if the host is killed before it has opened the Lifetime stream. On
// Linux the kernel kills a plugin whose host is gone, unless the plugin has
// changed its parent-death signal, as those made with [Serve] do.
package process
