{{/*
Whether this release installs the definition of an API that other products serve as well: nobody else did. Arguments: root, name.
*/}}
{{- define "rollcall.federation.installs" -}}
{{- $root := index . 0 }}
{{- $there := lookup "apiextensions.k8s.io/v1" "CustomResourceDefinition" "" (index . 1) }}
{{- $release := dig "metadata" "annotations" "meta.helm.sh/release-name" "" ($there | default dict) }}
{{- if or (not $there) (eq $release $root.Release.Name) }}yes{{ end }}
{{- end }}

{{- define "rollcall.check.federation" -}}
{{- if and .Values.federation.enabled (not .Values.federation.clusterId) (eq .Values.federation.clusterProperty "ignore") }}
{{- fail "federation.enabled needs federation.clusterId: the name by which other clusters link to this one, such as east; or federation.clusterProperty: read, where the cluster has a ClusterProperty cluster.clusterset.k8s.io" }}
{{- end }}
{{- if and .Values.federation.clusterset (eq .Values.federation.clusterProperty "ignore") }}
{{- fail "federation.clusterset needs federation.clusterProperty: write or read, or nobody is told of it" }}
{{- end }}
{{- if and .Values.federation.enabled (not .Values.controller.accessReviews) }}
{{- fail "federation.enabled needs controller.accessReviews: other clusters are known by tokens, which the API server reviews" }}
{{- end }}
{{- end }}
