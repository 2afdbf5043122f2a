{{/* What the Services of both components share. */}}

{{/* The addresses that it is to have, as a YAML list; none if Kubernetes chooses. Takes the values of the Service. */}}
{{- define "rollcall.service.addresses" -}}
{{- toYaml (.clusterIPs | default (compact (list .clusterIP))) }}
{{- end }}

{{/* Type, addresses and traffic. Takes the values of the Service. */}}
{{- define "rollcall.service.spec" -}}
type: {{ .type }}
{{- if eq .type "LoadBalancer" }}
{{- with .loadBalancerClass }}
loadBalancerClass: {{ . }}
{{- end }}
{{- with .loadBalancerSourceRanges }}
loadBalancerSourceRanges:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}
{{- if ne .type "ClusterIP" }}
{{- with .externalTrafficPolicy }}
externalTrafficPolicy: {{ . }}
{{- end }}
{{- end }}
{{- with include "rollcall.service.addresses" . | fromYamlArray }}
clusterIP: {{ first . | quote }}
{{- end }}
{{- with .clusterIPs }}
clusterIPs:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- include "rollcall.service.families" . }}
{{- with .trafficDistribution }}
trafficDistribution: {{ . }}
{{- end }}
{{- end }}

{{- define "rollcall.service.families" -}}
{{- with .ipFamilyPolicy }}
ipFamilyPolicy: {{ . }}
{{- end }}
{{- with .ipFamilies }}
ipFamilies:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* The port of metrics, readiness and debug pages. Takes the values of the Service. */}}
{{- define "rollcall.service.httpPort" -}}
- name: http
  port: {{ .httpPort }}
  targetPort: http
  appProtocol: http
{{- end }}

{{/* The Service of these alone. Takes (list . "component" <values of the Service>). */}}
{{- define "rollcall.service.admin" -}}
{{- $ := first . }}
{{- $component := index . 1 -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "rollcall.metadata" (dict "root" $ "name" (include (printf "rollcall.%s.adminService" $component) $) "component" $component) | nindent 2 }}
spec:
  type: ClusterIP
  {{- with include "rollcall.service.families" (last .) | trim }}
  {{- . | nindent 2 }}
  {{- end }}
  selector:
    {{- include "rollcall.selectorLabels" (list $ $component) | nindent 4 }}
  ports:
  {{- include "rollcall.service.httpPort" (last .) | nindent 2 }}
{{- end }}

{{/*
The names of the Services where metrics, readiness and debug pages are: of their own, within the cluster, where the other one
is reached from outside.
*/}}
{{- define "rollcall.controller.adminService" -}}
{{- eq .Values.controller.service.type "ClusterIP" | ternary (include "rollcall.controller.fullname" .) (printf "%s-admin" (include "rollcall.fullname" .)) }}
{{- end }}

{{- define "rollcall.dns.adminService" -}}
{{- eq .Values.dns.service.type "ClusterIP" | ternary (include "rollcall.dns.fullname" .) (printf "%s-dns-admin" (include "rollcall.fullname" .)) }}
{{- end }}
