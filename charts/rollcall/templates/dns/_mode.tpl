{{/* What differs by `dns.mode`. */}}

{{- define "rollcall.dns.priorityClassName" -}}
{{- if kindIs "invalid" .Values.dns.priorityClassName }}
{{- eq .Values.dns.mode "nodeLocal" | ternary "system-node-critical" "system-cluster-critical" }}
{{- else }}
{{- .Values.dns.priorityClassName }}
{{- end }}
{{- end }}

{{/* Whether another process holds the sockets: by default where nobody else answers while the server is down. */}}
{{- define "rollcall.dns.holdSockets" -}}
{{- if kindIs "invalid" .Values.dns.holdSockets | ternary (eq .Values.dns.mode "nodeLocal") .Values.dns.holdSockets -}}
true
{{- end }}
{{- end }}

{{/* As a YAML list. On every node means on tainted ones as well. */}}
{{- define "rollcall.dns.tolerations" -}}
{{- if kindIs "invalid" .Values.dns.tolerations }}
{{- eq .Values.dns.mode "nodeLocal" | ternary (list (dict "operator" "Exists")) list | toYaml }}
{{- else }}
{{- toYaml .Values.dns.tolerations }}
{{- end }}
{{- end }}

{{/* Servers for other names, as a YAML list. Beside another DNS server there are none: it has asked for a name of ours. */}}
{{- define "rollcall.dns.forward" -}}
{{- if kindIs "invalid" .Values.dns.forward }}
{{- eq .Values.dns.mode "stubDomain" | ternary list (list "/etc/resolv.conf") | toYaml }}
{{- else }}
{{- toYaml .Values.dns.forward }}
{{- end }}
{{- end }}

{{/*
Catalog servers, as a YAML list. By the address of the Service, which kubelet tells the pod, in every mode: as the cluster's
DNS there is nobody to ask for a name, and as a stub domain the one to ask may ask back.
*/}}
{{- define "rollcall.dns.catalogs" -}}
{{- if .Values.dns.catalogs }}
{{- toYaml .Values.dns.catalogs }}
{{- else }}
{{- $scheme := eq (include "rollcall.certificates.source" .) "off" | ternary "http" "https" -}}
- {{ $scheme }}://{{ include "rollcall.serviceHost" (include "rollcall.controller.fullname" .) }}:{{ .Values.controller.service.grpcPort }}
{{- end }}
{{- end }}

{{/* Whether it checks certificates of catalog servers. */}}
{{- define "rollcall.dns.tls" -}}
{{- range include "rollcall.dns.catalogs" . | fromYamlArray }}
{{- if hasPrefix "https://" . -}}
true
{{- break }}
{{- end }}
{{- end }}
{{- end }}

{{/*
How many replicas, or nothing. With autoscaling, as many as there are: a number that a release no longer has is set to 1 until
the autoscaler notices. Where the cluster cannot be asked (`helm template`), nothing: a fixed number would undo what the
autoscaler does.
*/}}
{{- define "rollcall.dns.replicas" -}}
{{- $values := .Values.dns }}
{{- if not $values.autoscaling.enabled }}
{{- $values.replicaCount }}
{{- else }}
{{- $live := lookup "apps/v1" "Deployment" (include "rollcall.namespace" .) (include "rollcall.dns.fullname" .) }}
{{- with (($live).spec).replicas }}
{{- max $values.autoscaling.minReplicas (min $values.autoscaling.maxReplicas .) }}
{{- else }}
{{- if .Release.IsUpgrade }}
{{- $values.autoscaling.minReplicas }}
{{- end }}
{{- end }}
{{- end }}
{{- end }}
