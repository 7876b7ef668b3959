// Package check has the tests of the manifests in the folder above. It is a
// module of its own, so that no other package depends on the Kubernetes types.
package check
