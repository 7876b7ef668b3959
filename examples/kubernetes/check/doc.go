// Package check has the tests of the manifests in the folder above. It is a
// module of its own, so that nobody else needs the types of Kubernetes.
package check
